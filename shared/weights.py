"""The store of pinned files: a folder per entry, pulled once, each file's sha256 checked before its first use.

    <folder>/<entry>/<file>               a file as pinned
    <folder>/<entry>/<file>.origin.json   beside a converted file: what it was made from, and its own sha256
    <folder>/.partial/                    what a pull has not finished; the next one goes on from there

Files are believed only under their final name, and get it by an atomic rename after their hash was checked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared import tfjs
from shared.artifacts import fetch, require_space, sha256_of, tampered, unpack
from shared.download import Patience
from shared.errors import BadInput, DeadlineExceeded, Infrastructure, WeightsMissing, WeightsTampered
from shared.pins import ConvertedFile, Entry, Member, PinnedFile, Pins, load_pins

PINS = files("shared") / "weights.toml"
File = PinnedFile | ConvertedFile
Step = Literal["waiting", "downloading", "unpacking", "converting", "stored"]


@dataclass(frozen=True)
class PullProgress:
    """What a pull is doing: `subject` is an artifact, or `entry/file` once its files are made."""

    subject: str
    step: Step
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used. `message` is one sentence; of a tampered file it holds both hashes."""

    entry: str
    file: str
    kind: Literal["missing", "tampered"]
    message: str


class Origin(BaseModel):
    """What a converted file was made from, written when it was made. It has no sha256 that could be pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    sha256: str


class Weights:
    """Files of a pins file, stored in `folder`. Any pins file will do; the default pins the models."""

    def __init__(
        self, folder: Path, pins: Path | Traversable = PINS, *, command: str = "reelgraph models pull"
    ) -> None:
        self.folder = folder
        self.patience = Patience()
        self._source = pins
        self._command = command
        self._checked: dict[Path, tuple[int, int, int]] = {}

    @cached_property
    def _pins(self) -> Pins:
        return load_pins(self._source)

    def entries(self) -> dict[str, Entry]:
        """All entries by name, locked or not."""
        return dict(self._pins.entries)

    def origins(self, entry: str) -> tuple[str, ...]:
        """Where an entry's files come from, such as `pypi mediapipe 0.10.21`."""
        pinned = self._entry(entry)
        artifacts = [self._pins.artifacts[key] for key in dict.fromkeys(member.artifact for member in pinned.members)]
        known = [" ".join(filter(None, (one.source, one.origin, one.pinned_version))) for one in artifacts]
        return tuple(known) if pinned.locked else (f"hf {pinned.hub}",)

    def digest(self, entry: str) -> str:
        """Sixteen hex digits that stand for the entry's pinned bytes and conversions. Needs no file on disk.

        Raises:
            WeightsMissing: the entry is not locked.
        """
        pinned = self._locked_entry(entry)
        recipes = sorted(f"{file.name} {_recipe(file)}" for file in pinned.files)
        return hashlib.sha256("\n".join(recipes).encode()).hexdigest()[:16]

    def path(self, entry: str, file: str) -> Path:
        """Path of a file whose sha256 this process has checked.

        Raises:
            WeightsMissing: it is not on this machine; the message names the command that brings it.
            WeightsTampered: it has other bytes than pinned; the message holds both hashes.
            BadInput: there is no such entry or file.
        """
        pinned = next((one for one in self._locked_entry(entry).files if one.name == file), None)
        if pinned is None:
            raise BadInput(f"{entry} has no file {file!r}", code="unknown_weights")
        path = self.folder / entry / file
        if (stamp := _stamp(path)) is None or stamp != self._checked.get(path):
            self._check(entry, pinned)
            if stamp is not None:
                self._checked[path] = stamp
        return path

    def verify(self, names: Iterable[str]) -> list[Problem]:
        """Hash every file of the named entries; returns what is missing or tampered."""
        problems = []
        for entry in names:
            for file in self._locked_entry(entry).files:
                try:
                    self._check(entry, file)
                except WeightsMissing as error:
                    problems.append(Problem(entry, file.name, "missing", error.message))
                except WeightsTampered as error:
                    problems.append(Problem(entry, file.name, "tampered", error.message))
        return problems

    def on_disk(self, entry: str) -> Literal["complete", "partial", "absent"]:
        """How many of the entry's files are there; their bytes are not looked at."""
        present = [(self.folder / entry / file.name).is_file() for file in self._entry(entry).files]
        return "complete" if present and all(present) else "partial" if any(present) else "absent"

    def pull(self, names: Iterable[str], *, report: Callable[[PullProgress], None] = lambda _: None) -> None:
        """Bring the files of the named entries here: those that are missing, and those that were tampered with.

        A second pull of the same store waits for the first. An interrupted one is resumed by the next.

        Raises:
            WeightsMissing: an entry is not locked.
            WeightsTampered: an artifact or a member does not have the pinned sha256; both hashes in the message.
            Infrastructure, DeadlineExceeded: no network, no client, no room on the disk, or out of time.
        """
        wanted = list(dict.fromkeys(names))
        if not self.verify(wanted):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(report):
                unusable = {(problem.entry, problem.file) for problem in self.verify(wanted)}
                files = [(name, one) for name in wanted for one in self._entry(name).files]
                _Pull(self, report).run([(name, one) for name, one in files if (name, one.name) in unusable])
        except OSError as error:
            raise Infrastructure(f"cannot store weights in {self.folder}: {error.strerror or error}") from error

    def _entry(self, name: str) -> Entry:
        if name not in self._pins.entries:
            known = ", ".join(self._pins.entries)
            raise BadInput(f"unknown weights {name!r}; there are {known}", code="unknown_weights")
        return self._pins.entries[name]

    def _locked_entry(self, name: str) -> Entry:
        entry = self._entry(name)
        if not entry.locked:
            raise WeightsMissing(
                f"{name} ({entry.hub}) is not locked: nobody has computed its hashes, so it cannot be pulled; "
                "locking arrives with the gpu profile",
                code="weights_unlocked",
            )
        return entry

    def _check(self, entry: str, file: File) -> None:
        path = self.folder / entry / file.name
        pinned = _made_here(path, file) if isinstance(file, ConvertedFile) else file.sha256
        if pinned is None or not path.is_file():
            raise WeightsMissing(f"{entry}/{file.name} is not on this machine; get it with `{self._command} {entry}`")
        if (actual := sha256_of(path)) != pinned:
            raise tampered(str(path), pinned, actual)

    @contextmanager
    def _alone(self, report: Callable[[PullProgress], None]) -> Iterator[None]:
        """Hold the store's lock; the kernel lets go of it when the process ends, however it ends."""
        deadline = time.monotonic() + self.patience.deadline_seconds
        with (self.folder / ".lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    report(PullProgress("another pull", "waiting"))
                if time.monotonic() > deadline:
                    raise DeadlineExceeded(f"another pull has held {self.folder} for too long")
                time.sleep(0.2)
            yield


class _Pull:
    """One pull under the store's lock."""

    def __init__(self, weights: Weights, report: Callable[[PullProgress], None]) -> None:
        self._folder = weights.folder
        self._artifacts = weights._pins.artifacts  # noqa: SLF001  (the other half of one class)
        self._patience = weights.patience
        self._report = report
        self._partial = weights.folder / ".partial"
        self._staged = self._partial / "staged"

    def run(self, wanted: list[tuple[str, File]]) -> None:
        """Fetch each artifact once and store every file as soon as all its members are there."""
        shutil.rmtree(self._staged, ignore_errors=True)
        self._staged.mkdir(parents=True)
        waiting = {self._staged / entry / file.name: (entry, file) for entry, file in wanted}
        members = {target: one for staged, (_, file) in waiting.items() for target, one in _targets(staged, file)}
        for artifact in dict.fromkeys(member.artifact for member in members.values()):
            self._unpack(artifact, {path: one for path, one in members.items() if one.artifact == artifact})
            for staged, (entry, file) in list(waiting.items()):
                if all(target.exists() for target, _ in _targets(staged, file)):
                    self._store(entry, file, staged)
                    del waiting[staged]
        shutil.rmtree(self._partial)

    def _unpack(self, key: str, members: dict[Path, Member]) -> None:
        artifact = self._artifacts[key]
        total = artifact.size_bytes
        part = self._partial / f"{key}-{artifact.sha256[:12]}.part"
        held = part.stat().st_size if part.exists() else 0
        require_space(self._folder, total - min(held, total) + sum(member.size_bytes for member in members.values()))
        self._report(PullProgress(key, "downloading", held, total))
        fetch(
            artifact,
            part,
            patience=self._patience,
            report=lambda done: self._report(PullProgress(key, "downloading", done, total)),
        )
        self._report(PullProgress(key, "unpacking", total, total))
        unpack(part, members)
        part.unlink()

    def _store(self, entry: str, file: File, staged: Path) -> None:
        target = self._folder / entry / file.name
        target.parent.mkdir(exist_ok=True)
        origin = _origin_path(target)
        if isinstance(file, ConvertedFile):
            self._report(PullProgress(f"{entry}/{file.name}", "converting"))
            _convert(file, staged)
            made = Origin(recipe=_recipe(file), sha256=sha256_of(staged))
            _origin_path(staged).write_text(made.model_dump_json(), encoding="utf-8")
            # without its origin a file counts as missing: a crash between the renames is no tampering
            origin.unlink(missing_ok=True)
            os.replace(staged, target)
            os.replace(_origin_path(staged), origin)
        else:
            os.replace(staged, target)
        self._report(PullProgress(f"{entry}/{file.name}", "stored"))


def _targets(staged: Path, file: File) -> Iterator[tuple[Path, Member]]:
    """Where a file's members are unpacked to."""
    if isinstance(file, ConvertedFile):
        for source in file.sources:
            yield _sources_folder(staged) / PurePosixPath(source.member).name, source
    else:
        yield staged, file


def _sources_folder(staged: Path) -> Path:
    return staged.with_name(f"{staged.name}.sources")


def _convert(file: ConvertedFile, staged: Path) -> None:
    model, *_ = (path for path, _ in _targets(staged, file) if path.suffix == ".json")
    tfjs.convert(model, staged)


def _recipe(file: File) -> str:
    """What determines a file's content: its pinned hash, or the converter and the hashes of its sources."""
    if isinstance(file, PinnedFile):
        return file.sha256
    return " ".join([f"{file.convert}@{tfjs.VERSION}", *(source.sha256 for source in file.sources)])


def _origin_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.origin.json")


def _made_here(path: Path, file: ConvertedFile) -> str | None:
    """The sha256 that a converted file had when it was made; None unless it was made from today's pins."""
    try:
        origin = Origin.model_validate_json(_origin_path(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return origin.sha256 if origin.recipe == _recipe(file) else None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file is written or replaced."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
