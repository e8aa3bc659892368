"""A last picture that is held for seconds: it is looked at, and is shown until the video ends."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from shared.frames import Frames
from tasks.boxes import Floats
from tasks.standing import stood
from tasks.tracking import LinkRules, Sighting, Tracklet, link
from tests.support.clips import FAST, numbered
from tests.support.reading import opened, seen

ALL, SOME = Frames(None, None, "gray"), Frames(4, None, "gray")
HELD = {"ten": [200] * 9 + [4000], "twenty": [100] * 19 + [3000]}
"""Milliseconds for which each picture is shown. The last of `twenty` is not the first of its quarter second."""


def held(path: Path, lengths: list[int]) -> Path:
    """A clip whose pictures name how long they are shown."""
    pictures = [numbered(number, 160, 120) for number in range(len(lengths))]
    if path.suffix in (".gif", ".png"):
        first, *others = [Image.fromarray(picture) for picture in pictures]
        first.save(path, save_all=True, append_images=others, duration=lengths)
        return path
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={**FAST, "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = sum(lengths[:number]), Fraction(1, 1000)
            packets += stream.encode(frame)
        for packet, length in zip([*packets, *stream.encode(None)], lengths, strict=True):
            packet.duration = length
            container.mux(packet)
    return path


@pytest.mark.parametrize("ending", ["gif", "png", "mp4", "mkv"])
@pytest.mark.parametrize("lengths", HELD.values(), ids=HELD)
def test_a_held_picture_is_shown_to_the_end(ending: str, lengths: list[int], tmp_path: Path) -> None:
    """The length, what is shown and what was looked at end with the last picture, at any rate of looking."""
    end, last = sum(lengths) / 1000, len(lengths) - 1
    for need in (ALL, SOME):
        (folder := tmp_path / need.key).mkdir()
        reader = opened(held(folder / f"a.{ending}", lengths), need)
        assert reader.info.duration_seconds == pytest.approx(end, abs=0.002)
        assert reader.info.vfr is True
        assert seen(reader, need)[-1] == (last, pytest.approx(end - lengths[-1] / 1000, abs=0.002))
        assert reader.shown(need) == ((0.0, pytest.approx(end, abs=0.002)),)
        assert reader.stats.spans == [(0.0, pytest.approx(end, abs=0.002))]


@pytest.mark.parametrize("fps", [2.0, 4.0, None])
def test_each_picture_says_until_when_it_was_shown(fps: float | None, tmp_path: Path) -> None:
    """However far the looks are apart, each picture's end is the next one of the video, or where the pictures end."""
    lengths = [300, 300, 100, 100, 400, 100, 700, 3000]
    edges = [sum(lengths[:number]) / 1000 for number in range(len(lengths) + 1)]
    need = Frames(fps, None, "gray")
    reader = opened(held(tmp_path / "a.mp4", lengths), need)
    spans = [
        (float(t), float(until))
        for part in reader.frames(need, batch=3)
        for t, until in zip(part.times, part.until, strict=True)
    ]
    starts = [start for start, _ in spans]
    assert starts[-1] == pytest.approx(edges[-2], abs=0.002)
    assert len(spans) == {2.0: 5, 4.0: 7, None: 8}[fps]
    for start, until in spans:
        number = min(range(len(lengths)), key=lambda n: abs(edges[n] - start))
        assert until == pytest.approx(edges[number + 1], abs=0.002)


def test_who_is_in_a_held_picture_stays() -> None:
    """Who is seen in the last frame is there until the pictures end, who was seen before that is not."""
    box: Floats = np.array([[0.1, 0.1, 0.5, 0.5]])
    none: Floats = np.zeros((0, 4))

    def sightings(*boxes: Floats) -> list[Sighting]:
        return [
            Sighting(number / 4, one, np.full(len(one), 0.9), np.zeros(len(one), np.intp))
            for number, one in enumerate(boxes)
        ]

    def linked(seen: list[Sighting]) -> list[Tracklet]:
        return link(seen, LinkRules(start_score=0.5), stood([one.t for one in seen], 0.25, [(0.0, 5.8)]))

    (stays,) = linked(sightings(box, box, box, box))
    (leaves,) = linked(sightings(box, box, box, none))
    assert (stays.end, leaves.end) == (5.8, 0.75)
