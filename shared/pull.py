"""Pulling: from pins to checked files in the store, one pull of a store at a time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.artifacts import fetch, require_space, unpack
from shared.conversions import File, convert, members, origin_path
from shared.download import Patience, Refused
from shared.errors import DeadlineExceeded, ReelgraphError
from shared.locks import FileLock, is_locked
from shared.pins import Artifact, ConvertedFile, Member


@dataclass(frozen=True)
class PullProgress:
    """What a pull is doing: `subject` is an artifact, or `entry/file` once its files are made."""

    subject: str
    step: Literal["waiting", "downloading", "unpacking", "converting", "stored"]
    done_bytes: int = 0
    total_bytes: int = 0


Report = Callable[[PullProgress], None]
LOCK = ".lock"


@contextmanager
def alone(folder: Path, patience: Patience, report: Report) -> Iterator[None]:
    """Hold the lock of a store; the kernel lets go of it when the process ends, however it ends."""
    deadline = time.monotonic() + patience.deadline_seconds
    with FileLock(folder / LOCK) as lock:
        while not lock.take():
            report(PullProgress("another pull", "waiting"))
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"another pull has held {folder} for {patience.deadline_seconds:g} s")
            time.sleep(0.2)
        yield


def is_under_way(folder: Path) -> bool:
    """Whether somebody pulls into a store."""
    return is_locked(folder / LOCK)


class Pull:
    """One pull into a store. What it has not finished lies in `.partial/`; only downloads outlive it there."""

    def __init__(self, folder: Path, artifacts: Mapping[str, Artifact], patience: Patience, report: Report) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._patience = patience
        self._report = report
        self._partial = folder / ".partial"
        self._staged = self._partial / "staged"

    def run(self, wanted: list[tuple[str, File]]) -> None:
        """Fetch each artifact once and store every file as soon as all its members are there."""
        self._tidy()
        self._staged.mkdir(parents=True)
        try:
            self._store_all({self._staged / entry / file.name: (entry, file) for entry, file in wanted})
        finally:
            self._tidy()

    def _tidy(self) -> None:
        """Remove what no later pull can use."""
        shutil.rmtree(self._staged, ignore_errors=True)
        current = {self._part(key) for key in self._artifacts}
        for part in set(self._partial.glob("*.part")) - current:
            part.unlink()

    def _store_all(self, waiting: dict[Path, tuple[str, File]]) -> None:
        needed = {path: member for staged, (_, file) in waiting.items() for path, member in members(file, staged)}
        for key in dict.fromkeys(member.artifact for member in needed.values()):
            self._unpack(key, {path: member for path, member in needed.items() if member.artifact == key})
            for staged, (entry, file) in list(waiting.items()):
                if all(path.exists() for path, _ in members(file, staged)):
                    self._store(entry, file, staged)
                    del waiting[staged]

    def _unpack(self, key: str, wanted: Mapping[Path, Member]) -> None:
        artifact, part = self._artifacts[key], self._part(key)
        total = artifact.size_bytes
        held = min(part.stat().st_size, total) if part.exists() else 0
        require_space(self._folder, total - held + sum(member.size_bytes for member in wanted.values()))

        def report(done_bytes: int) -> None:
            self._report(PullProgress(key, "downloading", done_bytes, total))

        report(held)
        try:
            fetch(artifact, part, patience=self._patience, report=report)
        except Refused as error:
            raise Refused(f"{key}: {error.message}", status=error.status) from error
        self._report(PullProgress(key, "unpacking", total, total))
        try:
            unpack(part, wanted)
        except ReelgraphError:
            # not what the pins say: trying again with the same bytes cannot help
            part.unlink()
            raise
        part.unlink()

    def _part(self, key: str) -> Path:
        return self._partial / f"{key}-{self._artifacts[key].sha256[:12]}.part"

    def _store(self, entry: str, file: File, staged: Path) -> None:
        subject = f"{entry}/{file.name}"
        target = self._folder / entry / file.name
        target.parent.mkdir(exist_ok=True)
        if isinstance(file, ConvertedFile):
            self._report(PullProgress(subject, "converting"))
            convert(file, staged)
            # without its origin a file counts as missing: a crash between the renames is no tampering
            origin_path(target).unlink(missing_ok=True)
            staged.replace(target)
            origin_path(staged).replace(origin_path(target))
        else:
            staged.replace(target)
        self._report(PullProgress(subject, "stored"))
