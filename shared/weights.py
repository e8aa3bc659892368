"""The store of pinned files: a folder per entry, pulled once, each file's sha256 checked before its first use.

    <folder>/<entry>/<file>               a file as pinned
    <folder>/<entry>/<file>.origin.json   beside a converted file: what it was made from, and its own sha256
    <folder>/hub.lock.json                revision and hashes of hub entries, by `reelgraph models lock`
    <folder>/.checked.json                large files that were hashed and not touched since
    <folder>/.partial/                    what a pull has not finished; the next one goes on from there

Files are believed only under their final name, and get it by an atomic rename after their hash was checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from shared.artifacts import tampered
from shared.conversions import File, expected_sha256, origin_path, recipe
from shared.digests import sha256_of
from shared.download import Patience, Refused
from shared.errors import BadInput, Infrastructure, WeightsMissing, WeightsTampered
from shared.hub import HubLock, LockedEntry, add_to_lock, ask, locked, read_lock
from shared.pins import Artifact, Entry, PinnedFile, Pins, load_pins
from shared.pull import Pull, PullProgress, Report, alone
from shared.seals import Seals
from shared.settings import settings

__all__ = ["Entry", "Problem", "PullProgress", "Weights"]

PINS = files("shared") / "weights.toml"
LOCK = "hub.lock.json"
BULK_SUFFIX = ".safetensors"
"""Files that may be hashed while they are read: whatever their bytes are, reading them runs nothing."""


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, or that keeps others from being used: a stranger is none of the pinned files.

    `message` is one sentence; of a tampered file it holds both hashes.
    """

    entry: str
    file: str
    kind: Literal["missing", "tampered", "stranger"]
    message: str


class Weights:
    """Files of a pins file, stored in `folder`. Any pins file will do; the default pins the models.

    `over` is another pins file, whose entries are added or take the place of those of that name.
    """

    def __init__(
        self,
        folder: Path,
        pins: Path | Traversable = PINS,
        *,
        over: Path | None = None,
        lock: Path | None = None,
        command: str = "reelgraph models pull",
    ) -> None:
        self.folder = folder
        self.lock_file = lock or folder / LOCK
        self.patience = Patience()
        self._source, self._over = pins, over
        self._command = command
        self._seals = Seals(folder)
        self._checked: dict[Path, tuple[int, int, int]] = {}

    @classmethod
    def of_settings(cls, folder: Path | None = None) -> Weights:
        """The models as the settings have them, or those of another folder and the lock in it."""
        here = settings()
        return cls(folder or here.weights_dir, over=here.pins_file, lock=None if folder else here.hub_lock)

    @cached_property
    def _lock(self) -> HubLock:
        return read_lock(self.lock_file)

    @cached_property
    def _pins(self) -> Pins:
        return locked(load_pins(self._source, self._over), self._lock)

    def entries(self) -> dict[str, Entry]:
        """All entries by name, locked or not."""
        return dict(self._pins.entries)

    def artifacts(self, entry: str) -> tuple[Artifact, ...]:
        """What an entry's files are taken from; empty while it is not locked."""
        keys = dict.fromkeys(member.artifact for member in self.entry(entry).members)
        return tuple(self._pins.artifacts[key] for key in keys)

    def digest(self, entry: str) -> str:
        """Sixteen hex digits that stand for the entry's pinned bytes and conversions. Needs no file on disk.

        Raises:
            WeightsMissing: the entry is not locked.
        """
        pinned = self._locked_entry(entry)
        recipes = sorted(f"{file.name} {recipe(file)}" for file in pinned.files)
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
            self._check(entry, pinned, trust_seals=True)
            if stamp is not None:
                self._checked[path] = stamp
        return path

    @contextmanager
    def reading(self, entry: str) -> Iterator[Path]:
        """The folder of an entry, whose files are checked by the end of the block.

        Large tensors are hashed while the block reads them: one pass over 15 GB of page cache instead of two. What was
        read must not be used before the block has ended. All else is checked before it begins.

        Raises:
            WeightsMissing, WeightsTampered: as `path` does; also in place of what the block raised over such a file.
        """
        files = self._locked_entry(entry).files
        self._refuse_strangers(entry)
        bulk = [file.name for file in files if file.name.endswith(BULK_SUFFIX)]
        for file in files:
            if file.name not in bulk:
                self.path(entry, file.name)
        with ThreadPoolExecutor(max_workers=max(1, len(bulk))) as pool:
            checks = [pool.submit(self.path, entry, name) for name in bulk]
            try:
                yield self.folder / entry
            finally:
                for check in checks:
                    check.result()

    def is_reviewed(self, entry: str) -> bool:
        """Whether the entry's files are those that somebody pinned; not when they were pulled unlocked."""
        known = self._lock.entries.get(entry)
        return known is None or known.reviewed

    def locked_elsewhere(self, entry: str) -> str | None:
        """The repository that the lock has for the entry, where the entry has moved to another one since."""
        known, hub = self._lock.entries.get(entry), self.entry(entry).hub
        return known.repository if known is not None and hub not in (None, known.repository) else None

    def lock(self, names: Iterable[str], *, reviewed: bool = True) -> dict[str, LockedEntry]:
        """Ask the hub what the named entries hold now, and accept nothing else from now on.

        Raises:
            BadInput: an entry is of no hub, or its repository has nothing that it can be made of.
            WeightsMissing: what is taken without review would take the place of another repository's lock.
            Infrastructure: the hub cannot be reached, or the lock file cannot be written.
        """
        names = tuple(names)
        for name in () if reviewed else names:
            if self.locked_elsewhere(name) is not None:
                self._locked_entry(name)  # raises
        entries = {name: self._asked(name) for name in names}
        if not reviewed:
            entries = {name: one.model_copy(update={"reviewed": False}) for name, one in entries.items()}
        try:
            add_to_lock(self.lock_file, entries)
        except OSError as error:
            raise Infrastructure(f"cannot write {self.lock_file}: {error.strerror or error}") from error
        self.__dict__.pop("_lock", None)
        self.__dict__.pop("_pins", None)
        return entries

    def check(self, entry: str) -> None:
        """Refuse what a worker would refuse of an entry; large files that nobody touched since are believed.

        Raises:
            WeightsMissing, WeightsTampered: as `path` and `reading` do.
        """
        if self._is_read_by_a_library(entry):
            self._refuse_strangers(entry)
        for file in self._locked_entry(entry).files:
            self.path(entry, file.name)

    def verify(self, names: Iterable[str]) -> list[Problem]:
        """Hash every file of the named entries; returns what a worker would refuse: what is missing or tampered, and
        strangers where a library reads the folder itself.
        """
        problems = []
        for entry in names:
            for file in self._locked_entry(entry).files:
                try:
                    self._check(entry, file)
                except WeightsMissing as error:
                    problems.append(Problem(entry, file.name, "missing", error.message))
                except WeightsTampered as error:
                    problems.append(Problem(entry, file.name, "tampered", error.message))
            if self._is_read_by_a_library(entry):
                found = self._strangers(entry)
                problems += [Problem(entry, name, "stranger", self._of_stranger(entry, name)) for name in found]
        return problems

    def on_disk(self, entry: str) -> Literal["complete", "partial", "absent"]:
        """How many of the entry's files are there; their bytes are not looked at."""
        present = [(self.folder / entry / file.name).is_file() for file in self.entry(entry).files]
        return "complete" if present and all(present) else "partial" if any(present) else "absent"

    def pull(self, names: Iterable[str], *, report: Report = lambda _: None) -> None:
        """Bring the files of the named entries here: those that are missing, and those that were tampered with.

        A second pull of the same store waits for the first. An interrupted one is resumed by the next.

        Raises:
            WeightsMissing: an entry is not locked.
            WeightsTampered: an artifact or a member does not have the pinned sha256, both hashes in the message; or a
                file that nobody pinned is there, which is left for its owner to remove.
            Infrastructure, DeadlineExceeded: no network, no client, no room on the disk, or out of time.
        """
        wanted = list(dict.fromkeys(names))
        if not self.verify(wanted):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with alone(self.folder, self.patience, report):
                unusable = {(problem.entry, problem.file) for problem in self.verify(wanted)}
                files = [(name, one) for name in wanted for one in self.entry(name).files]
                pull = Pull(self.folder, self._pins.artifacts, self.patience, report)
                pull.run([(name, one) for name, one in files if (name, one.name) in unusable])
                for name in filter(self._is_read_by_a_library, wanted):
                    self._refuse_strangers(name)
        except OSError as error:
            raise Infrastructure(f"cannot store weights in {self.folder}: {error.strerror or error}") from error

    def entry(self, name: str) -> Entry:
        """One entry, locked or not. Raises BadInput for an unknown one, with the names that there are."""
        if name not in self._pins.entries:
            known = ", ".join(self._pins.entries)
            raise BadInput(f"unknown weights {name!r}; there are {known}", code="unknown_weights")
        return self._pins.entries[name]

    def _asked(self, name: str) -> LockedEntry:
        entry = self.entry(name)
        try:
            return ask(entry, self.patience)
        except Refused as error:
            raise Refused(f"{name}: {error.message}", status=error.status) from error
        except BadInput as error:
            raise BadInput(f"{name}: {error.message}", code=error.code) from error

    def _locked_entry(self, name: str) -> Entry:
        entry = self.entry(name)
        if (before := self.locked_elsewhere(name)) is not None:
            what = f"{name} is locked to {before} and is now {entry.hub}"
            raise WeightsMissing(f"{what}: `reelgraph models lock {name}` locks it anew", code="weights_unlocked")
        if not entry.locked:
            raise WeightsMissing(
                f"{name} ({entry.hub}) is not locked: `reelgraph models lock {name}` asks the hub for its revision and "
                "hashes; then it can be pulled",
                code="weights_unlocked",
            )
        return entry

    def _refuse_strangers(self, entry: str) -> None:
        """Raise WeightsTampered for a file that nobody pinned: a library that reads the folder might prefer it."""
        if found := self._strangers(entry):
            raise WeightsTampered(self._of_stranger(entry, found[0]))

    def _strangers(self, entry: str) -> list[str]:
        pinned = {file.name for file in self._locked_entry(entry).files}
        known = pinned | {origin_path(Path(name)).name for name in pinned}
        folder = self.folder / entry
        return sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []

    def _of_stranger(self, entry: str, name: str) -> str:
        return f"{self.folder / entry} holds {name}, which is not among its pinned files: remove it"

    def _is_read_by_a_library(self, entry: str) -> bool:
        """Whether an engine is given the folder (`reading`); where an analyzer opens its files, others do no harm."""
        return self.entry(entry).engine is not None

    def _check(self, entry: str, file: File, *, trust_seals: bool = False) -> None:
        path = self.folder / entry / file.name
        pinned = expected_sha256(file, path)
        if pinned is None or not path.is_file():
            raise WeightsMissing(f"{entry}/{file.name} is not on this machine; get it with `{self._command} {entry}`")
        if trust_seals and self._seals.holds(path, pinned):
            return
        before = path.stat()
        if (actual := sha256_of(path)) != pinned:
            cut = isinstance(file, PinnedFile) and before.st_size < file.size_bytes
            short = f"; it is cut short, {before.st_size} of {file.size_bytes} bytes" if cut else ""
            again = f"`{self._command} {entry}` brings it again"
            raise WeightsTampered(f"{tampered(str(path), pinned, actual).message}{short}; {again}")
        self._seals.put(path, before, actual)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file is written or replaced."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
