"""A process that reads renditions of a video and prints what it got: `python -m tests.support.reading_process`."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.errors import ReelgraphError
from shared.frames import Audio, Frames, FrameStore
from shared.schema import MediaInfo
from tests.support.openings import ROOT, counting_environment
from tests.support.processes import peak_mib

WANTED = (Frames(4, 96), Frames(None, None, "gray"), Audio())


@dataclass(frozen=True, slots=True)
class Reading:
    """What one process read. `digest` covers all times, frames and samples; `peak_growth_mib`: of the memory of this
    process, and of the one that decoded for it.
    """

    digest: str
    passes: int
    seconds: float
    spans: tuple[tuple[float, float], ...]
    error: str | None
    peak_growth_mib: float


def start(
    video: Path, store: Path, info: MediaInfo, log: Path, *, file_limit: int | None = None
) -> subprocess.Popen[str]:
    """Start a reader. `file_limit`: bytes that no file of it may exceed."""
    command = [sys.executable, "-m", "tests.support.reading_process", str(video), str(store), info.model_dump_json()]
    return subprocess.Popen(
        [*command, str(file_limit or "")], env=counting_environment(log), stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def finish(process: subprocess.Popen[str]) -> Reading:
    """Wait for what a reader printed."""
    out, _ = process.communicate(timeout=120)
    values = json.loads(out)
    return Reading(**{**values, "spans": tuple(map(tuple, values["spans"]))})


class DecoderMemory(threading.Thread):
    """Watches the processes that the media server forks: their highest memory, and how far it is above the server's."""

    peak_mib = growth_mib = 0

    def __init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        while True:
            for server in psutil.Process().children():
                with suppress(psutil.Error, OSError, ValueError):
                    for child in server.children():
                        peak = peak_mib(child.pid)
                        self.peak_mib = max(self.peak_mib, peak)
                        self.growth_mib = max(self.growth_mib, peak - peak_mib(server.pid))
            time.sleep(0.01)


def main() -> None:
    video, store, info, file_limit = sys.argv[1:]
    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit), int(file_limit)))
    before, digest, error = peak_mib(), hashlib.sha256(), None
    decoder = DecoderMemory()
    decoder.start()
    reader = FrameStore(Path(store), budget_bytes=4 << 30).open(
        Path(video), MediaInfo.model_validate_json(info), WANTED
    )
    try:
        for need in WANTED:
            if isinstance(need, Audio):
                if reader.info.has_audio:
                    digest.update(reader.audio(need).tobytes())
                continue
            for batch in reader.frames(need):
                digest.update(batch.times.tobytes() + batch.frames.tobytes())
    except ReelgraphError as raised:
        error = raised.code
    stats = reader.stats
    reading = {
        "digest": digest.hexdigest(),
        "passes": stats.decode_passes,
        "seconds": stats.decode_seconds,
        "spans": stats.spans,
        "error": error,
        "peak_growth_mib": peak_mib() - before + decoder.growth_mib,
    }
    print(json.dumps(reading))  # noqa: T201  (read by the test that started it)


if __name__ == "__main__":
    main()
