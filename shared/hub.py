"""Hub repositories, pinned: which revision and which bytes of a hub's models this deployment accepts.

Nobody can know a hub file's hash without asking the hub, so `weights.toml` names repositories only. `ask` brings the
newest revision with the sha256 of every file; the answer is kept in a lock file beside the weights. From then on
nothing else is pulled or loaded.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from shared.digests import sha256_of
from shared.download import Patience, Refused, download
from shared.errors import BadInput, DeadlineExceeded, Infrastructure
from shared.locks import FileLock
from shared.pins import PLAIN_NAME, Entry, FileName, HubFile, PinnedFile, Pins, Sha256
from shared.replacement import write_whole

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

DEFAULT_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""What transformers reads. No pickles: an entry that has nothing else names its files itself."""
WEIGHTS = "*.safetensors"
"""The one of them that holds a model's weights."""
ASK_SECONDS = 30.0
NO_ACCESS = frozenset({401, 403})
"""HTTP statuses by which a hub refuses gated and private repositories."""
WRITE_SECONDS = 30.0
"""How long one who adds to the lock file waits for others, each of whom takes milliseconds."""


class LockedFile(BaseModel):
    """One file of a repository at the locked revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FileName
    sha256: Sha256
    size_bytes: PositiveInt


class LockedEntry(BaseModel):
    """What an entry's repository held when the hub was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    files: tuple[LockedFile, ...] = Field(min_length=1)
    reviewed: bool = True
    """False: taken as it came by `pull --unlocked`; receipts say so."""

    @field_validator("files")
    @classmethod
    def _are_different(cls, files: tuple[LockedFile, ...]) -> tuple[LockedFile, ...]:
        names = [file.name for file in files]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} is in it twice")
        return files


@dataclass(frozen=True, slots=True)
class HubAddress:
    """One file of a hub's repository at one commit."""

    repository: str
    revision: str
    name: str


class HubLock(BaseModel):
    """The lock file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: dict[FileName, LockedEntry] = {}


def read_lock(path: Path) -> HubLock:
    """The lock file; empty when there is none. Raises BadInput (`bad_lock`) with the first thing that is wrong."""
    try:
        return HubLock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return HubLock()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}", code="bad_lock") from error


def add_to_lock(path: Path, entries: dict[str, LockedEntry]) -> None:
    """Write entries into the lock file, whole or not at all, beside what others write at the same time.

    Raises:
        OSError: it cannot be written.
        DeadlineExceeded: others hold it.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + WRITE_SECONDS
    with FileLock(target.with_name(f".{target.name}.lock")) as turn:
        while not turn.take():
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"others have held {path} for {WRITE_SECONDS:g} s; lock again")
            time.sleep(0.02)
        try:
            lock = HubLock(entries={**read_lock(path).entries, **entries})
            write_whole(path, lock.model_dump_json(indent=1))
        finally:
            turn.path.unlink(missing_ok=True)  # whoever waits for it sees that it is gone, and makes another


def locked(pins: Pins, lock: HubLock) -> Pins:
    """The pins with the files of every hub entry that the lock knows.

    An entry that has moved to another repository since stays without files: its old lock is no word on the new one.
    """
    artifacts, entries = dict(pins.artifacts), dict(pins.entries)
    for name, known in lock.entries.items():
        entry = entries.get(name)
        if entry is None or entry.hub is None:
            continue  # of another version of Reelgraph
        if entry.hub != known.repository:
            continue  # `Weights` says so to whoever wants its files
        files = []
        for file in known.files:
            key = f"{name}.{file.name}"
            artifacts[key] = HubFile(
                source="hf",
                repository=known.repository,
                revision=known.revision,
                path=file.name,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
            )
            files.append(PinnedFile(name=file.name, artifact=key, sha256=file.sha256, size_bytes=file.size_bytes))
        entries[name] = entry.model_copy(update={"files": tuple(files)})
    return Pins(artifacts=artifacts, entries=entries)


def ask(entry: Entry, patience: Patience) -> LockedEntry:
    """Ask the hub for the newest revision of an entry's repository and the sha256 of each file that is used.

    Large files have their sha256 in the hub's answer. Small ones are brought here and hashed.

    Raises:
        BadInput: the entry is of no hub, or its repository has no file that is used, or of weights none.
        Refused: the repository or a file of it is not given to us.
        Infrastructure: the hub cannot be reached, has no such repository, or says of it what cannot be locked.
    """
    from huggingface_hub import HfApi

    # the HTTP client's own base error: which client it is differs between releases of huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError  # type: ignore[attr-defined]

    if entry.hub is None:
        raise BadInput("only hub entries are locked; the others are pinned by this version", code="not_a_hub_entry")
    try:
        found = HfApi().model_info(entry.hub, files_metadata=True, timeout=ASK_SECONDS)
    except HFValidationError as error:
        raise BadInput(f"{entry.hub!r} is no repository of a hub: {error}", code="bad_pins") from error
    except HfHubHTTPError as error:
        reason = str(error).strip().partition("\n")[0]
        said = f"the hub does not give {entry.hub}: {reason}"
        if (status := error.response.status_code) in NO_ACCESS:
            raise Refused(f"{said}; {_way_in(_authorization())}", status=status) from error
        raise Infrastructure(said, retryable=False) from error
    except HTTPError as error:
        raise Infrastructure(f"the hub cannot be asked for {entry.hub}: {error}") from error
    used = _used(entry, found.siblings or ())
    if not used:
        raise BadInput(f"{entry.hub} has none of the files {', '.join(_patterns(entry))}", code="no_files")
    if not entry.hub_files and not any(fnmatch(one.rfilename, WEIGHTS) for one in used):
        raise _without_weights(entry.hub, found.siblings or (), used)
    files = []
    with tempfile.TemporaryDirectory() as scratch:
        for one in used:
            file = HubAddress(entry.hub, found.sha or "main", one.rfilename)
            sha256 = one.lfs.sha256 if one.lfs else _hashed(file, Path(scratch), one.size or 0, patience)
            files.append({"name": one.rfilename, "sha256": sha256, "size_bytes": one.size})
    answer = {"repository": entry.hub, "revision": found.sha, "files": files}
    try:
        return LockedEntry.model_validate(answer)
    except ValidationError as error:
        raise _not_lockable(entry, files, error) from error


def _patterns(entry: Entry) -> tuple[str, ...]:
    return tuple(entry.hub_files or DEFAULT_FILES)


def _used(entry: Entry, siblings: Sequence[RepoSibling]) -> list[RepoSibling]:
    """The files that an entry uses, by name.

    Raises:
        BadInput: a file that the entry itself asks for is not there, or has a name that none here may have.
    """
    used = []
    for one in siblings:
        if "/" in one.rfilename or not one.size:
            continue
        if not any(fnmatch(one.rfilename, pattern) for pattern in _patterns(entry)):
            continue
        if re.fullmatch(PLAIN_NAME, one.rfilename):
            used.append(one)
        elif entry.hub_files:
            what = f"{entry.hub} has a file named {one.rfilename!r}, and file names here are letters, digits and ._-"
            raise BadInput(f"{what}: let the entry's `hub_files` name other files", code="bad_file_name")
        # by the default patterns it merely came along: transformers reads no file of such a name
    missing = [one for one in entry.hub_files or () if not any(fnmatch(each.rfilename, one) for each in used)]
    if used and missing:
        what = f"{entry.hub} has no file {', '.join(missing)}, which the entry's `hub_files` name"
        raise BadInput(what, code="no_weights")
    return sorted(used, key=lambda one: one.rfilename)


def _without_weights(repository: str, siblings: Sequence[RepoSibling], used: Sequence[RepoSibling]) -> BadInput:
    """Why a repository that has only small files by the default patterns is not locked, and what to do."""
    names = {one.rfilename for one in used}
    others = [one for one in siblings if one.rfilename not in names and "/" not in one.rfilename and one.size]
    largest = max(others, key=lambda one: one.size or 0, default=None)
    there = f", but {largest.rfilename} of {largest.size:,} bytes" if largest else ""
    what = f"{repository} has no file of weights {WEIGHTS}{there}"
    return BadInput(f"{what}: let the entry's `hub_files` name all files that are used", code="no_weights")


def _not_lockable(entry: Entry, files: Sequence[Mapping[str, object]], error: ValidationError) -> Infrastructure:
    first = error.errors()[0]
    at = first["loc"]
    where = f"{files[at[1]]['name']}: {at[2]}" if len(at) == 3 and isinstance(at[1], int) else str(at[0])
    said = f"the hub's answer about {entry.hub} cannot be locked: {where} is {first['input']!r:.80}"
    return Infrastructure(f"{said}: {first['msg']}", retryable=False)


def _hashed(file: HubAddress, folder: Path, size_bytes: int, patience: Patience) -> str:
    part = folder / file.name
    bring(file, part, size_bytes, patience=patience, report=lambda _: None)
    return sha256_of(part)


def bring(file: HubAddress, part: Path, size_bytes: int, *, patience: Patience, report: Callable[[int], None]) -> None:
    """Download a file of a hub, with the user's token where there is one. Raises as `download` does."""
    from huggingface_hub import hf_hub_url

    url, shown = hf_hub_url(file.repository, file.name, revision=file.revision), _authorization()
    try:
        download(url, part, size_bytes, patience=patience, report=report, authorization=shown)
    except Refused as error:
        way_in = f"; {_way_in(shown)}" if error.status in NO_ACCESS else ""
        raise Refused(f"{file.repository}/{file.name}: {error.message}{way_in}", status=error.status) from error


def _authorization() -> str | None:
    """What shows the hub who asks: HF_TOKEN, or what its own client was logged in with."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    return build_hf_headers().get("authorization")


def _way_in(shown: str | None) -> str:
    if shown is not None:
        return "the token of HF_TOKEN has no access to it"
    return "HF_TOKEN may be needed: a token of somebody who has access to it"
