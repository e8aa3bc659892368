"""Row family 5, decoding: the single pass against PyAV's bare loop, readers, cold and cached, and videos of any length.

python -m bench.decode [--short] [--clip VIDEO]
python -m bench.decode --pass-over VIDEO       one pass in this process: seconds and peak memory, for the rows above
"""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import click
from av.codec.hwaccel import HWAccel
from av.video.reformatter import VideoReformatter

from bench import clips as videos
from bench.rows import Row, say
from shared.decode import decode_pass
from shared.digests import sha256_of
from shared.frames import Frames, FrameStore, Rendition, fit
from shared.media import probe
from shared.schema import MediaInfo
from tasks.plan import wanted
from tasks.registry import analyzers

PAIRS, SHORT_PAIRS = 5, 2
PASS_GOAL, FLAT_GOAL = 1.15, 1.25
LENGTHS = {"10 s": 1, "2 min": 12, "2 h": 720}
"""How often a drawn video of ten seconds is repeated."""
STORE_BYTES = 1 << 30
"""Of the frame store for the long videos: rates are lowered to fit."""


def everything(info: MediaInfo, budget_bytes: int = 8 << 30) -> tuple[Rendition, ...]:
    """The renditions that all analyzers of the local profile read."""
    asked = wanted(analyzers().values(), "local", info)
    return tuple(dict.fromkeys(fit(asked, info, budget_bytes).renditions.values()))


def bare_pass(video: Path, info: MediaInfo, needs: Sequence[Rendition], hwaccel: HWAccel | None = None) -> int:
    """PyAV's plain loop: decode every frame, convert those that the rates ask for, keep nothing; how many were made.

    As fast as it can be written: one reformatter for each size and colour, whose tables are made once (a frame's own
    `reformat` makes them anew for every frame), and one conversion for all renditions of a size.
    """
    made, last = 0, {need.key: -1 for need in needs}
    shapes: dict[tuple[int, int, str], list[Frames]] = {}
    for need in (each for each in needs if isinstance(each, Frames)):
        shapes.setdefault((*need.size(info), need.format), []).append(need)
    reformatters = {shape: VideoReformatter() for shape in shapes}
    sounds = [need for need in needs if not isinstance(need, Frames)]
    resamplers = [av.AudioResampler("flt", "mono" if one.mono else "stereo", one.sample_rate) for one in sounds]
    with av.open(str(video), hwaccel=hwaccel) as container:
        streams = [*container.streams.video[:1], *(container.streams.audio[:1] if sounds else [])]
        for stream in container.streams.video[:1]:
            stream.thread_type = "AUTO"
        for frame in container.decode(*streams):
            if isinstance(frame, av.AudioFrame):
                made += sum(len(one.to_ndarray()) > 0 for each in resamplers for one in each.resample(frame))
            if not isinstance(frame, av.VideoFrame):
                continue
            for shape, asked in shapes.items():
                due = {need.key: slot for need in asked if (slot := slot_of(frame, need, info)) > last[need.key]}
                if due:
                    reformatters[shape].reformat(frame, *shape, threads=1).to_ndarray()
                    made, last = made + len(due), last | due
    return made


def slot_of(frame: av.VideoFrame, need: Frames, info: MediaInfo) -> int:
    """Which 1/fps second the frame is in: the first of each is converted."""
    rate = need.fps or float(Fraction(info.fps or "30"))
    return int((frame.time or 0.0) * rate + 1e-6)


def timed_pass(video: Path, info: MediaInfo, needs: Sequence[Rendition]) -> float:
    """Seconds of the product's pass into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "v").mkdir()
        began = time.perf_counter()
        decode_pass(video, info, Path(folder) / "v", needs, lambda: None)
        return time.perf_counter() - began


def timed_bare(video: Path, info: MediaInfo, needs: Sequence[Rendition]) -> float:
    """Seconds of the bare loop."""
    began = time.perf_counter()
    bare_pass(video, info, needs)
    return time.perf_counter() - began


def measure_pass(clip: Path, pairs: int) -> None:
    """The pass against the bare loop, in pairs."""
    info = probe(clip)
    needs = everything(info)
    timed_bare(clip, info, needs)
    both = [(timed_pass(clip, info, needs), timed_bare(clip, info, needs)) for _ in range(pairs)]
    ratio = statistics.median(ours / bare for ours, bare in both)
    detail = {
        "pass_seconds": round(statistics.median(ours for ours, _ in both), 3),
        "bare_seconds": round(statistics.median(bare for _, bare in both), 3),
        "clip_seconds": info.duration_seconds,
        "renditions": len(needs),
    }
    say(Row(row="decode.over_bare", value=ratio, goal=PASS_GOAL, unit="ratio", detail={**detail}))


def measure_reading(clip: Path) -> None:
    """What a reader pays: the first one waits for the pass, the others map what is there."""
    info = probe(clip, sha256=sha256_of(clip))
    needs = everything(info)
    with tempfile.TemporaryDirectory() as folder:
        store = FrameStore(Path(folder), budget_bytes=8 << 30)
        seconds, frames = [], 0
        for _ in range(4):
            began, frames = time.perf_counter(), 0
            with store.open(clip, info, needs) as reader:
                for need in needs:
                    if isinstance(need, Frames):
                        frames += sum(len(batch.times) for batch in reader.frames(need))
                    else:
                        reader.audio(need)
            seconds.append(time.perf_counter() - began)
    cold, cached = seconds[0], statistics.median(seconds[1:])
    say(Row(row="decode.read_cold", value=cold, unit="s", detail={"frames": frames}))
    say(Row(row="decode.read_cached", value=cached, unit="s", detail={"frames": frames}))
    say(Row(row="decode.read_frame", value=cached / frames * 1000, unit="ms"))


def measure_lengths(folder: Path, lengths: dict[str, int]) -> None:
    """Seconds a video second and peak memory for short and long videos, each in a process of its own."""
    ten = videos.drawn(folder / "ten.mp4", width=320, height=180, fps=10)
    found = {}
    for label, times in lengths.items():
        video = videos.repeated(ten, folder / f"{times}.mp4", times)
        argv = [sys.executable, "-m", "bench.decode", "--pass-over", str(video)]
        found[label] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True, timeout=200).stdout)
    first, last = next(iter(found)), list(found)[-1]
    for label, one in found.items():
        detail = {"seconds": one["seconds"], "renditions": one["renditions"]}
        say(Row(row=f"decode.second_of_{label.replace(' ', '')}", value=one["ratio"], unit="s/s", detail=detail))
    growth = found[last]["peak_mib"] / found[first]["peak_mib"]
    peaks = {label: one["peak_mib"] for label, one in found.items()}
    say(
        Row(
            row="decode.memory",
            value=growth,
            goal=FLAT_GOAL,
            unit=f"peak of {last} over {first}",
            detail={"mib": peaks},
        )
    )


def peak_mib() -> float:
    """The most memory this process has had; on Linux without its parent's, which ru_maxrss begins with."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def pass_over(video: Path) -> None:
    """One pass; what it took."""
    info = probe(video)
    needs = everything(info, STORE_BYTES)
    seconds = timed_pass(video, info, needs)
    said = {"seconds": round(seconds, 2), "ratio": seconds / info.duration_seconds, "peak_mib": round(peak_mib(), 1)}
    click.echo(json.dumps({**said, "renditions": len(needs)}))


@click.command()
@videos.options
@click.option("--pass-over", "one", type=click.Path(path_type=Path, exists=True), hidden=True)
def main(*, short: bool, clips: tuple[Path, ...], one: Path | None) -> None:
    """Measure."""
    if one is not None:
        pass_over(one)
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = videos.chosen(clips, Path(folder), short=short)[0]
        measure_pass(clip, SHORT_PAIRS if short else PAIRS)
        measure_reading(clip)
        measure_lengths(Path(folder), {k: n for k, n in LENGTHS.items() if not short or n < 100})


if __name__ == "__main__":
    main()
