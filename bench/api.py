"""How long a client waits for the API while workers are busy: handing in 10 MB, and 50 lists at once.

    python -m bench.api [--runs 30] [--beside PORT]

Every video differs, so that nothing is answered from the cache; all jobs of one run wait behind the ones before it.
A machine that others use is never the same twice: `--beside` asks another version's `reelgraph serve` in turn.
"""

from __future__ import annotations

import http.client
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import psutil

from services.evaluation.pictures import texture, write_video
from services.server import Service, service
from shared.settings import settings, use

BOUNDARY = "boundary-of-the-bench"
VIDEO_BYTES = 10_000_000
FREE_BOX = b"free"
HOST = "127.0.0.1"
WARM_UP = 4
"""Requests that are not counted."""


def padded(video: bytes, size: int) -> bytes:
    """An MP4 with a `free` box of random bytes (ISO/IEC 14496-12, 8.1.2) at its end, `size` bytes in all."""
    room = size - len(video)
    return video + room.to_bytes(4, "big") + FREE_BOX + os.urandom(room - 8)


def form(video: bytes) -> bytes:
    """A multipart form with one video."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="bench.mp4"\r\n\r\n'
    return head.encode() + video + f"\r\n--{BOUNDARY}--\r\n".encode()


def seconds(port: int, method: str, path: str, body: bytes | None, expected: int) -> float:
    """From connecting to the whole answer."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request(method, path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != expected:
        raise SystemExit(f"{method} {path} was answered {answer.status}")
    return time.perf_counter() - began


def cpu_seconds(running: Service) -> float:
    """What the server's processes have computed so far: unlike the waiting, it hardly depends on who else computes."""
    leash = psutil.Process(running.web.pid)
    times = [process.cpu_times() for process in (leash, *leash.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def say(what: str, measured: list[float]) -> None:
    """One line of the table."""
    ordered = sorted(measured)
    middle, late = statistics.median(ordered), statistics.quantiles(ordered, n=20, method="inclusive")[-1]
    milliseconds = f"median {middle * 1000:.0f} ms, p95 {late * 1000:.0f} ms, worst {ordered[-1] * 1000:.0f} ms"
    click.echo(f"{what}: {milliseconds} of {len(ordered)}")


@click.command()
@click.option("--runs", default=30, show_default=True)
@click.option("--port", default=8765, show_default=True)
@click.option("--beside", type=int, help="Port of another version's service, which is asked in turn.")
def main(runs: int, port: int, beside: int | None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        use(settings().model_copy(update={"data_dir": Path(folder) / "data"}))
        video = write_video(Path(folder) / "clip.mp4", [texture(1, 720, 1280)] * 90).read_bytes()
        ports = [port] if beside is None else [port, beside]
        with service(HOST, port, with_flower=False) as running:
            running.wait_up()
            running.stack.wait_ready(600, check=running.check)
            measured: dict[int, list[float]] = {one: [] for one in ports}
            before = 0.0
            for number in range(WARM_UP + runs):
                before = cpu_seconds(running) if number == WARM_UP else before
                for one in ports if number % 2 else ports[::-1]:
                    body = form(padded(video, VIDEO_BYTES))
                    measured[one].append(seconds(one, "POST", "/v1/jobs", body, 202))
            each = (cpu_seconds(running) - before) / runs
            for one in ports:
                say("POST of 10 MB" if one == port else "the same, beside it", measured[one][WARM_UP:])
            click.echo(f"its CPU in the server: {each * 1000:.0f} ms, load of the machine {os.getloadavg()[0]:.1f}")
            with ThreadPoolExecutor(50) as pool:
                lists = pool.map(lambda _: seconds(port, "GET", "/v1/jobs", None, 200), range(50))
                say("50 lists at once", list(lists))


if __name__ == "__main__":
    main()
