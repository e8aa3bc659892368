"""Decoding on the GPU's decoder (NVDEC) against the processor's, over the same loop that makes every rendition.

    python -m bench.nvdec VIDEO                    one at a time, and some at once
    python -m bench.nvdec VIDEO --decoder nvdec    one pass in this process, for the rows above

Frames come back to the processor's memory, where the frame store keeps them. Without NVDEC: one sentence, exit code 2.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import av
import click
from av.codec.hwaccel import HWAccel

from bench.decode import bare_pass
from bench.rows import Detail, Row, say
from shared.frames import Rendition, fit
from shared.media import probe
from tasks.plan import wanted
from tasks.registry import analyzers

Decoder = Literal["cpu", "nvdec"]
AT_ONCE = (1, 8)
RUNS = 3
PASS_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Pass:
    """Of one process: pictures decoded, seconds of decoding alone and of the whole pass, and its CPU in each."""

    frames: int
    decode_seconds: float
    decode_cpu_seconds: float
    pass_seconds: float
    pass_cpu_seconds: float


def accelerated(decoder: Decoder) -> HWAccel | None:
    """What PyAV opens a container with. Nothing falls back: a pass that says NVDEC was NVDEC's."""
    if decoder == "cpu":
        return None
    return HWAccel("cuda", allow_software_fallback=False, options={"primary_ctx": "1"})


def decode_alone(video: Path, decoder: Decoder) -> int:
    """Decode every picture and let it go; how many."""
    with av.open(str(video), hwaccel=accelerated(decoder)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def one_pass(video: Path, decoder: Decoder) -> Pass:
    """The fastest of some runs in this process, after one that warms it up."""
    info = probe(video)
    needs: Sequence[Rendition] = tuple(
        dict.fromkeys(fit(wanted(analyzers().values(), "gpu", info), info, 8 << 30).renditions.values())
    )
    frames = decode_alone(video, decoder)
    alone, whole = [], []
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        decode_alone(video, decoder)
        alone.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = time.perf_counter(), time.process_time()
        bare_pass(video, info, needs, accelerated(decoder))
        whole.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Pass(
        frames=frames,
        decode_seconds=round(min(alone)[0], 3),
        decode_cpu_seconds=round(min(alone)[1], 3),
        pass_seconds=round(min(whole)[0], 3),
        pass_cpu_seconds=round(min(whole)[1], 3),
    )


def at_once(video: Path, decoder: Decoder, count: int) -> list[Pass]:
    """So many processes beside each other. Raises RuntimeError with the last line of one that failed."""
    argv = [sys.executable, "-m", "bench.nvdec", str(video), "--decoder", decoder]
    running = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(count)
    ]
    said = [one.communicate(timeout=PASS_SECONDS) for one in running]
    for one, (_, errors) in zip(running, said, strict=True):
        if one.returncode:
            raise RuntimeError((errors.strip().splitlines() or [f"exit code {one.returncode}"])[-1])
    return [Pass(**json.loads(out)) for out, _ in said]


def over_cpu(by: Mapping[Decoder, Sequence[Pass]], seconds: Callable[[Pass], float]) -> float:
    """Mean seconds of NVDEC's processes over those of the processor's."""
    means = {name: sum(map(seconds, passes)) / len(passes) for name, passes in by.items()}
    return means["nvdec"] / means["cpu"]


def measure(video: Path) -> None:
    """NVDEC's seconds over the processor's, decoding alone and with everything made of it."""
    for count in AT_ONCE:
        by: dict[Decoder, list[Pass]] = {"cpu": at_once(video, "cpu", count), "nvdec": at_once(video, "nvdec", count)}
        first: dict[str, Detail] = {name: asdict(passes[0]) for name, passes in by.items()}
        decoding = over_cpu(by, lambda one: one.decode_seconds)
        say(Row(row=f"nvdec.decode_over_cpu.{count}_at_once", value=decoding, unit="ratio", detail=first))
        whole = over_cpu(by, lambda one: one.pass_seconds)
        say(Row(row=f"nvdec.pass_over_cpu.{count}_at_once", value=whole, unit="ratio", detail=first))


@click.command()
@click.argument("video", type=click.Path(path_type=Path, exists=True))
@click.option("--decoder", type=click.Choice(["cpu", "nvdec"]), hidden=True)
def main(video: Path, decoder: Decoder | None) -> None:
    """Measure."""
    if decoder is not None:
        click.echo(json.dumps(asdict(one_pass(video, decoder))))
        return
    try:
        decode_alone(video, "nvdec")
    except (av.FFmpegError, RuntimeError, OSError, NotImplementedError) as error:
        click.echo(f"bench.nvdec: no NVDEC here: {error}", err=True)
        sys.exit(2)
    measure(video)


if __name__ == "__main__":
    main()
