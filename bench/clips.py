"""Videos for the bench: those that are named, else the sample reel of `make demo`; and drawn ones of any length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import click

from services.commands.demo import compose
from services.evaluation.pictures import texture, write_video
from shared.settings import settings

SHORT_SECONDS = 4.0


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--short` and `--clip`, as every family takes them."""
    command = click.option("--short", is_flag=True, help="Fewer and shorter clips and runs.")(command)
    return click.option("--clip", "clips", multiple=True, type=click.Path(path_type=Path, exists=True))(command)


def clips_or_sample(clips: Sequence[Path]) -> tuple[Path, ...]:
    """The named clips, else the sample reel, composed when it is not there yet (that takes the network)."""
    return tuple(clip.resolve() for clip in clips) or (compose(settings().data_dir / "demo" / "reel"),)


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
