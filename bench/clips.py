"""Videos for the bench: those that are named, else real ones, else composed ones; and drawn ones of any length."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from numpy.typing import NDArray

from bench.talk import compose_talk
from services.commands.demo import compose
from services.evaluation.pictures import texture, write_video
from shared.errors import BadInput
from shared.settings import settings

MEDIA = "REELGRAPH_TEST_MEDIA"
"""Folder of real videos, as the tests have them; none are shipped."""
REAL = ("reel.mp4", "slides_talk.mp4")
SHORT_SECONDS = 4.0
TALK = "sample-talk.mp4"
SAMPLE_RATE, BLOCK = 48_000, 1024
CLAPPING = round(1.2 * SAMPLE_RATE)
"""Samples at the end of a lively clip in which nobody speaks."""


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--short` and `--clip`, as every family takes them."""
    command = click.option("--short", is_flag=True, help="Fewer and shorter clips and runs.")(command)
    return click.option("--clip", "clips", multiple=True, type=click.Path(path_type=Path, exists=True))(command)


def clips_or_sample(clips: Sequence[Path]) -> tuple[Path, ...]:
    """The named clips, else the two real ones where the machine has both, else the sample reel and a talk with slides.

    The last two are composed when they are not there yet; the reel takes the network then.
    """
    if clips:
        return tuple(clip.resolve() for clip in clips)
    real = tuple(Path(os.environ.get(MEDIA) or "/nowhere", name).resolve() for name in REAL)
    if all(one.is_file() for one in real):
        return real
    demo = settings().data_dir / "demo"
    reel, talk = compose(demo / "reel"), demo / "talk" / TALK  # a folder of its own: the reel's holds the truth of one
    return (reel, talk if talk.exists() else compose_talk(talk, reel))


def chosen(clips: Sequence[Path], folder: Path, *, short: bool) -> tuple[Path, ...]:
    """The clips to measure; in short runs the first seconds of the first."""
    found = clips_or_sample(clips)
    return (beginning(found[0], folder / f"start-of-{found[0].name}", SHORT_SECONDS),) if short else found


def beginning(video: Path, to: Path, seconds: float) -> Path:
    """The first seconds of a video, packets copied; the same container by its suffix."""
    with av.open(str(video)) as source, av.open(str(to), "w") as target:
        taken = {
            one.index: target.add_stream_from_template(one) for one in source.streams if one.type in ("video", "audio")
        }
        for packet in source.demux():
            if packet.dts is None or packet.stream.index not in taken or packet.time_base is None:
                continue
            if packet.dts * packet.time_base < seconds:
                packet.stream = taken[packet.stream.index]
                target.mux(packet)
    return to


def lively(video: Path, to: Path, seconds: float) -> Path:
    """The first seconds of a video, the last one of them with claps and no other sound, so that every model has work.

    Where a voice never rests, nobody listens for effects. Raises BadInput for a video without sound.
    """
    start = beginning(video, to.with_name(f"start-{to.name}"), seconds)
    with av.open(str(start)) as source, av.open(str(to), "w") as target:
        if not source.streams.audio:
            raise BadInput(f"{video}: without sound most models of speech and sound have nothing to do.")
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        resampler, heard = av.AudioResampler("fltp", "mono", SAMPLE_RATE), list[NDArray[np.float32]]()
        for packet in source.demux(source.streams.video[0], source.streams.audio[0]):
            if packet.stream.type == "audio":
                frames = [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
                heard += [
                    np.asarray(part.to_ndarray(), np.float32) for frame in frames for part in resampler.resample(frame)
                ]
            elif packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        samples = clapped(np.concatenate(heard, axis=1)[:, : round(seconds * SAMPLE_RATE)])
        for first in range(0, samples.shape[1], BLOCK):
            block = av.AudioFrame.from_ndarray(samples[:, first : first + BLOCK], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
            target.mux(sound.encode(block))
        target.mux(sound.encode(None))
    return to


def clapped(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mono samples `(1, n)` at 48 kHz whose last 1.2 s are silence but for claps: noise that dies away in 20 ms."""
    changed = samples.copy()
    changed[:, -CLAPPING:] = 0
    t = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
    clap = np.random.default_rng(0).uniform(-0.8, 0.8, len(t)) * np.exp(-t / 0.02)
    for at in (CLAPPING // 2, CLAPPING // 4):
        changed[0, -at : len(clap) - at or None] = clap.astype(np.float32)
    return changed


def drawn(to: Path, *, width: int = 640, height: int = 360, fps: float = 30.0, seconds: float = 10.0) -> Path:
    """A video of textures that change every second, without sound."""
    pictures = [texture(number, height, width) for number in range(10)]
    return write_video(to, (pictures[int(n / fps) % 10] for n in range(round(seconds * fps))), fps=fps)


def repeated(video: Path, to: Path, times: int) -> Path:
    """A video's pictures many times over, packets copied: hours of video in seconds."""
    with av.open(str(video)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        stamps = [
            (one, one.pts, one.dts) for one in source.demux(stream) if one.dts is not None and one.pts is not None
        ]
        step = max(pts for _, pts, _ in stamps) + (stamps[0][0].duration or 0)
        for number in range(times):
            for packet, pts, dts in stamps:
                again = av.Packet(bytes(packet))
                again.pts, again.dts, again.time_base = pts + number * step, dts + number * step, packet.time_base
                again.is_keyframe, again.duration, again.stream = packet.is_keyframe, packet.duration, copy
                target.mux(again)
    return to
