"""A ledger that is locked, a disk that is full, model files that are gone."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from shared.settings import settings
from tasks.analyzers.audio_environment import AudioEnvironment
from tasks.node import frame_store, ledger
from tests.chaos.case import Skip
from tests.chaos.load import Load, breaks, clip, hand_in, wait_all
from tests.chaos.site import ANALYSING, Site
from tests.support.processes import eventually

NO_ROOM, NO_INPUT = ("failed", "disk_full"), ("skipped", "missing_input")


def ledger_locked(site: Site, load: Load) -> None:
    """Hold the ledger's write lock for 10 s."""
    site.after(0.3, 2.0)
    breaks(load)
    with closing(sqlite3.connect(settings().data_dir / "ledger.sqlite3", timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(10)
        other.execute("ROLLBACK")


def disk_full(site: Site, load: Load) -> list[str]:
    """Fill the frame store's disk while jobs decode, then empty it: who could not decode says so, and the next can."""
    frames = settings().frames_folder
    if not os.path.ismount(frames):
        raise Skip("a disk of its own for the frame store takes root")
    frame_store().sweep(lambda _: False)  # else old frames make room for new ones
    site.after(0.2, 2.5)
    breaks(load)
    with _filled(frames):
        wait_all(load, 90)
        _accept_full_disk(load)
        frame_store().sweep(lambda _: False)
        assert eventually(lambda: not shutil.disk_usage(frames).free, 30), "the disk is not full"
        full = [hand_in(site, clip(site, 90 + number)) for number in range(2)]
        wait_all(Load(jobs=full), 90)
    load.over()
    wrong = []
    for job in full:
        for name, ending in _endings(job).items():
            if ending not in (NO_ROOM, NO_INPUT):
                wrong.append(f"{job}: {name} ended {ending} on a full disk")
        half = [path for path in (frames / ledger().job(job).video_sha256).rglob("*.npy") if path.is_file()]
        wrong += [f"{job}: {path.name} was left on the full disk" for path in half]
    load.jobs += full
    _accept_full_disk(load)
    load.jobs.append(hand_in(site, clip(site, 99)))
    return wrong


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """The folder's disk without room in the block, whatever goes away meanwhile."""
    ended, ballast = threading.Event(), folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            while not ended.wait(0.005):
                with suppress(OSError):
                    while file.write(bytes(1 << 16)):
                        pass
                with suppress(OSError):
                    file.write(bytes(1 << 12))

    filling = threading.Thread(target=fill, daemon=True)
    filling.start()
    try:
        yield
    finally:
        ended.set()
        filling.join()
        ballast.unlink()


def _endings(job: str) -> dict[str, tuple[str, str]]:
    """How a job's analyzers have ended, each with its error's code."""
    runs = ledger().runs(job)
    return {
        name: (str(run.status), run.outcome.error.code if run.report and run.outcome.error else "")
        for name, run in runs.items()
    }


def _accept_full_disk(load: Load) -> None:
    """What had not ended when the disk was full may have met it; what stands on such a run is skipped."""
    for job in load.jobs:
        endings = _endings(job)
        met = [name for name, ending in endings.items() if ending == NO_ROOM and (job, name) not in load.ended_before]
        load.expected.setdefault(job, {}).update(dict.fromkeys(met, NO_ROOM))
        if "misbehaving" in met:
            load.expected[job]["dependent"] = NO_INPUT


def weights_deleted(site: Site, load: Load) -> list[str]:
    """Delete a model under running workers: who has loaded it works on; a new process says what is missing."""
    name = AudioEnvironment.name
    entry = settings().weights_dir / AudioEnvironment.weights["local"]
    if not entry.exists():
        raise Skip(f"the weights of {name} are not here; get them with: reelgraph models pull")
    away = entry.with_name(".away")

    def one_more() -> str:
        load.jobs.append(hand_in(site, clip(site, 90), (name,)))
        wait_all(load, 60)
        run = ledger().run(load.jobs[-1], name)
        return run.outcome.error.code if run.status and run.outcome.error else str(run.status)

    breaks(load)
    entry.rename(away)
    try:
        loaded = one_more()
        for worker in map(site.worker, ANALYSING):
            site.signal(worker, signal.SIGKILL, children=True)
        missing = one_more()
        load.expected[load.jobs[-1]] = {name: ("unavailable", "weights_missing")}
    finally:
        away.rename(entry)
    for worker in map(site.worker, ANALYSING):
        site.signal(worker, signal.SIGKILL, children=True)
    load.over()
    again = one_more()
    endings = (loaded, missing, again)
    return [] if endings == ("ok", "weights_missing", "ok") else [f"with the model deleted it ended as {endings}"]


def mount_small(folder: Path, megabytes: int) -> bool:
    """Mount a small disk; whether that is allowed here."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
