"""The sample reel, composed from small stand-ins that the test draws, along the way that the pinned files go."""

from __future__ import annotations

import json
import tomllib
import wave
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.demo import CREDITS, FPS, HEIGHT, PINS, WIDTH, Assets, Truth, compose_sample
from shared.errors import BadInput
from shared.media import probe

COLOURS = {"portrait": (200, 40, 40), "product": (40, 160, 40), "scenery": (40, 40, 200)}


def draw_still(path: Path, colour: tuple[int, int, int]) -> Path:
    """A plain picture with a white square of a fifth of its width in the middle."""
    picture = Image.new("RGB", (300, 200), colour)
    picture.paste((255, 255, 255), (120, 70, 180, 130))
    picture.save(path)
    return path


def draw_video(path: Path) -> Path:
    """One second at 25 fps that gets steadily brighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((90, 160, 3), 60 + 6 * index, np.uint8), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_tone(path: Path, seconds: float) -> Path:
    """440 Hz, 16 kHz mono."""
    samples = (np.sin(2 * np.pi * 440 * np.arange(round(16_000 * seconds)) / 16_000) * 16_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    folder = tmp_path_factory.mktemp("assets")
    stills = {name: draw_still(folder / f"{name}.png", colour) for name, colour in COLOURS.items()}
    return Assets(
        **stills,
        moving=draw_video(folder / "moving.mp4"),
        speech=write_tone(folder / "tone.wav", 4.0),
        product_label="cup",
        transcript="",
    )


@pytest.fixture(scope="module")
def reel(stand_ins: Assets, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("out") / "demo" / "reel.mp4"
    return path, compose_sample(path, stand_ins)


@pytest.fixture(scope="module")
def pictures(reel: tuple[Path, Truth]) -> list[np.ndarray]:
    """Every fifth pixel of every frame."""
    with av.open(str(reel[0])) as container:
        return [frame.to_ndarray(format="rgb24")[::5, ::5].astype(int) for frame in container.decode(video=0)]


def test_file_has_the_promised_shape(reel: tuple[Path, Truth], pictures: list[np.ndarray]) -> None:
    """12 s of 720x1280 at 30 fps with sound; the credits travel in the file, the truth lies beside it, nothing else."""
    path, truth = reel
    info = probe(path)
    assert (info.width, info.height, info.fps, info.vfr) == (WIDTH, HEIGHT, "30/1", False)
    assert {stream.codec for stream in info.streams} == {"h264", "aac"}
    assert info.duration_seconds == pytest.approx(12.0, abs=0.03)
    assert len(pictures) == 360
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == CREDITS
    assert Truth.model_validate(json.loads((path.parent / "truth.json").read_text())) == truth
    assert {file.name for file in path.parent.iterdir()} == {"reel.mp4", "truth.json"}


def test_cuts_are_where_the_truth_says(reel: tuple[Path, Truth], pictures: list[np.ndarray]) -> None:
    """The three largest changes between neighbouring frames are the cuts, to the frame."""
    changes = [np.abs(after - before).mean() for before, after in pairwise(pictures)]
    largest = sorted((np.argsort(changes)[-3:] + 1) / FPS)
    assert largest == pytest.approx(reel[1].cuts_seconds)


def test_texts_are_shown_when_the_truth_says(reel: tuple[Path, Truth], pictures: list[np.ndarray]) -> None:
    """White letters stand in the text's band in exactly the frames that the truth names."""
    band = [frame[round(0.80 * HEIGHT / 5) : round(0.88 * HEIGHT / 5)] for frame in pictures]
    white = [(rows.min(axis=2) > 225).sum() > 50 for rows in band]
    told = [any(text.start <= i / FPS < text.end for text in reel[1].texts) for i in range(360)]
    assert white == told
    assert any(told)


def test_camera_does_what_the_truth_says(reel: tuple[Path, Truth], pictures: list[np.ndarray]) -> None:
    """The white square keeps its size in the shots called static and grows 1.4 times in the one called a zoom."""

    def square(seconds: float) -> float:
        frame = pictures[round(seconds * FPS)][60:200]
        return float(np.sqrt((frame.min(axis=2) > 200).sum()))

    for moved in reel[1].camera:
        growth = square(moved.end - 0.05) / square(moved.start + 0.02)
        assert growth == pytest.approx(1.4 if moved.motion == "zoom_in" else 1.0, rel=0.04)


def test_moving_pictures_keep_their_pace(pictures: list[np.ndarray]) -> None:
    """A video of one second plays for one second although its rate differs, then its last frame stays."""
    brightness = [frame.mean() for frame in pictures[90:180]]
    assert brightness[0] == pytest.approx(60, abs=4)
    assert brightness[15] == pytest.approx(60 + 6 * 12, abs=8)
    assert brightness[30] == pytest.approx(brightness[-1], abs=2) == pytest.approx(204, abs=4)


def test_speech_starts_and_ends_when_the_truth_says(reel: tuple[Path, Truth]) -> None:
    """Before and after the span of the recording there is silence, within it the tone."""
    path, truth = reel
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    loud = np.flatnonzero(np.abs(sound) > 0.05) / 48_000
    assert (truth.speech.start, truth.speech.end) == (0.5, 4.5)
    assert (loud[0], loud[-1]) == pytest.approx((0.5, 4.5), abs=0.05)


def test_unreadable_asset_leaves_no_file(stand_ins: Assets, tmp_path: Path) -> None:
    """When an asset is no media, the error says so and no half reel is left."""
    broken = tmp_path / "broken.wav"
    broken.write_text("not a sound")
    assets = Assets(**{**{name: getattr(stand_ins, name) for name in Assets.__slots__}, "speech": broken})
    with pytest.raises(BadInput, match=r"broken\.wav"):
        compose_sample(tmp_path / "out" / "reel.mp4", assets)
    assert not (tmp_path / "out").exists()


def test_every_asset_is_pinned_with_its_licence() -> None:
    """`Assets.pinned` asks for exactly the files that `demo.toml` pins, and each entry states a licence."""
    entries = tomllib.loads(PINS.read_text())["entries"]
    asked = set()

    def path(entry: str, file: str) -> Path:
        asked.add((entry, file))
        return Path(file)

    Assets.pinned(path)
    assert asked == {(name, file["name"]) for name, entry in entries.items() for file in entry["files"]}
    assert all(entry["licence"] for entry in entries.values())
