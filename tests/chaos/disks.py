"""A ledger that is locked, a disk that is full, model files that are gone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

from shared.settings import settings
from tasks.analyzers.audio_environment import AudioEnvironment
from tasks.node import frame_store, ledger
from tests.chaos.case import Skip
from tests.chaos.load import ANALYZERS, Load, breaks, clip, hand_in, wait_all
from tests.chaos.site import ANALYSING, Site


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
    breaks(load)
    frame_store().sweep(lambda _: False)  # else old frames make room for new ones
    ballast = frames / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    full = [hand_in(site, clip(site, 90 + number), ANALYZERS, {}) for number in range(2)]
    wait_all(Load(jobs=full), 90)
    ballast.unlink(missing_ok=True)
    wrong = []
    for job in full:
        for name, run in ledger().runs(job).items():
            ending = (run.status, run.outcome.error.code if run.outcome.error else "") if run.status else (None, "")
            if ending not in (("failed", "disk_full"), ("skipped", "missing_input")):
                wrong.append(f"{job}: {name} ended {ending} on a full disk")
        half = [path for path in (frames / ledger().job(job).video_sha256).rglob("*.npy") if path.is_file()]
        wrong += [f"{job}: {path.name} was left on the full disk" for path in half]
    for job in load.jobs:  # those under way may have met the full disk, too
        for name, run in ledger().runs(job).items():
            if run.status == "failed" and run.outcome.error and run.outcome.error.code == "disk_full":
                load.expected.setdefault(job, {})[name] = ("failed", "disk_full")
            elif run.status == "skipped":
                load.expected.setdefault(job, {})[name] = ("skipped", "missing_input")
    load.jobs.append(hand_in(site, clip(site, 99), ANALYZERS, {}))
    return wrong


def weights_deleted(site: Site, load: Load) -> list[str]:
    """Delete a model under running workers: who has loaded it works on; a new process says what is missing."""
    name = AudioEnvironment.name
    entry = settings().weights_dir / AudioEnvironment.weights["local"]
    if not entry.exists():
        raise Skip(f"the weights of {name} are not here; get them with: reelgraph models pull")
    away = entry.with_name(".away")

    def one_more() -> str:
        load.jobs.append(hand_in(site, clip(site, 90), (name,), {}))
        wait_all(Load(jobs=load.jobs[-1:]), 60)
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
    again = one_more()
    endings = (loaded, missing, again)
    return [] if endings == ("ok", "weights_missing", "ok") else [f"with the model deleted it ended as {endings}"]


def mount_small(folder: Path, megabytes: int) -> bool:
    """Mount a small disk; whether that is allowed here."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
