"""Pins: which files there are, where each comes from, and which sha256 it must have.

A pins file is TOML with two tables. `artifacts` are what is downloaded: a wheel, an npm tarball, a hub file, a URL, a
local file. `entries` are what the product asks for: named groups of files, each a member of an artifact (or the whole
artifact), or made from members by a converter. An entry with `hub` and without files is not locked: its repository is
known, its hashes are not. Model files are pinned in `shared/weights.toml`; any other assets can be pinned the same way.
A second file can be laid over the first: its artifacts and entries are added, or take the place of those of that name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from shared.errors import BadInput

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PLAIN_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
FileName = Annotated[str, Field(pattern=PLAIN_NAME)]
"""One plain name: it becomes a file in the entry's folder, so no separators and no leading dot."""

Number = Literal["fp32", "bf16", "int8", "nf4"]
"""The format of a model's weights in memory."""

REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?"
"""A hub's repository: `owner/name`, or a name alone; no address and no path."""


def _repository(name: str) -> str:
    if not re.fullmatch(REPOSITORY, name) or ".." in name or "--" in name or name.endswith((".git", "-", ".")):
        raise ValueError(f"{name!r} is no repository of a hub, such as OWNER/NAME")
    return name


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("a local file is pinned by its absolute path")
    return path


class Pin(BaseModel):
    """Base of everything in a pins file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseArtifact(Pin):
    """Something to download, known by the sha256 of all its bytes."""

    sha256: Sha256
    size_bytes: PositiveInt

    @property
    def origin(self) -> str:
        """The package, repository or address, without its version."""
        raise NotImplementedError

    @property
    def pinned_version(self) -> str | None:
        """Version or revision; None for addresses, which have only their hash."""
        return None


class PypiWheel(BaseArtifact):
    """A wheel, by its exact file name: wheels of one version may differ by platform.

    Only wheels: asking pip for an sdist's address runs the package's build script.
    """

    source: Literal["pypi"]
    package: str
    version: str
    file: str = Field(pattern=r"^[^/\\]+-[^-/\\]+-[^-/\\]+-[^-/\\]+\.whl$")

    @property
    def origin(self) -> str:
        """The package."""
        return self.package

    @property
    def pinned_version(self) -> str:
        """The package's version."""
        return self.version


class NpmTarball(BaseArtifact):
    """The tarball of an npm package; its members start with `package/`."""

    source: Literal["npm"]
    package: str
    version: str

    @property
    def origin(self) -> str:
        """The package."""
        return self.package

    @property
    def pinned_version(self) -> str:
        """The package's version."""
        return self.version


class HubFile(BaseArtifact):
    """One file of a model hub's repository at one commit."""

    source: Literal["hf"]
    repository: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    path: str

    @property
    def origin(self) -> str:
        """The repository."""
        return self.repository

    @property
    def pinned_version(self) -> str:
        """The commit."""
        return self.revision


class UrlFile(BaseArtifact):
    """A file at an http or https address."""

    source: Literal["url"]
    url: str = Field(pattern="^https?://")

    @property
    def origin(self) -> str:
        """The address."""
        return self.url


class LocalFile(BaseArtifact):
    """A file on this machine."""

    source: Literal["file"]
    path: Annotated[Path, AfterValidator(_absolute)]

    @property
    def origin(self) -> str:
        """The path."""
        return str(self.path)


Artifact = Annotated[PypiWheel | NpmTarball | HubFile | UrlFile | LocalFile, Field(discriminator="source")]


class Member(Pin):
    """A file inside an artifact, or the artifact itself when `member` is left out."""

    artifact: str
    member: str | None = None
    sha256: Sha256
    size_bytes: PositiveInt


class PinnedFile(Member):
    """A file that is stored as it came."""

    name: FileName


class Source(Member):
    """A member that a converter reads, under the last part of its path."""

    member: str


class ConvertedFile(Pin):
    """A file made on this machine from pinned sources. Its own bytes depend on library versions: not pinned.

    `tfjs_to_onnx_any_size` leaves the height and width of the network's picture open; `tfjs_to_onnx` keeps its size.
    `keras_to_onnx` reads one HDF5 file.
    """

    name: FileName
    convert: Literal["keras_to_onnx", "tfjs_to_onnx", "tfjs_to_onnx_any_size"]
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def size_bytes(self) -> int:
        """Bytes of the sources; the converted file's own size is not known before."""
        return sum(source.size_bytes for source in self.sources)


BESIDE_TORCH = frozenset({"faster-whisper"})
"""Engines whose library takes a GPU's memory by itself, past the share that torch keeps to."""


class Entry(Pin):
    """A named group of files that belong together; they are stored side by side in a folder of that name."""

    summary: str
    licence: str
    hub: Annotated[str, AfterValidator(_repository)] | None = None
    hub_files: tuple[str, ...] = ()
    """Patterns of the repository's files that are used; empty: those of transformers (`shared.hub.DEFAULT_FILES`)."""
    engine: str | None = None
    """Which of the analyzer's engines reads it; None when the analyzer reads the files itself."""
    kind: str | None = None
    """What its engine does (`tasks.engines.kinds`); None: what the analyzer needs for which it is chosen."""
    vram_mib: dict[Number, NonNegativeInt] = {}
    """GPU memory of the loaded model by precision, batches included, as measured; 0: its engine stays on the CPU."""
    derived_vram_mib: dict[Number, PositiveInt] = {}
    """The same where nobody has measured it: parameters and a margin for work (`bench/sizes.py`)."""
    work_mib: NonNegativeInt = 0
    """The part of this memory that it gives back after each batch: models of one worker take turns with it."""
    cpu_precision: Number = "fp32"
    """What the precision `auto` means for it on a CPU."""
    files: tuple[PinnedFile | ConvertedFile, ...] = ()

    @property
    def memory_mib(self) -> dict[Number, int]:
        """GPU memory by precision, measured or derived; also says which precisions it can have."""
        return {**self.derived_vram_mib, **self.vram_mib}

    @property
    def uses_gpu(self) -> bool:
        """Whether its engine works on a GPU where there is one; also where nobody has said how much of it."""
        return self.engine is not None and (not self.memory_mib or any(self.memory_mib.values()))

    @property
    def beside_torch(self) -> bool:
        """Whether its engine's memory on a GPU is none of torch's."""
        return self.engine in BESIDE_TORCH

    @property
    def locked(self) -> bool:
        """Whether its files and their hashes are known."""
        return bool(self.files)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all pinned files; None while not locked."""
        return sum(file.size_bytes for file in self.files) if self.locked else None

    @property
    def members(self) -> Iterator[Member]:
        """What has to be taken out of artifacts."""
        for file in self.files:
            yield from file.sources if isinstance(file, ConvertedFile) else (file,)

    @model_validator(mode="after")
    def _is_complete(self) -> Entry:
        if not self.locked and self.hub is None:
            raise ValueError("an entry has files, or names a hub repository that is not locked yet")
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files of one entry have the same name")
        if both := self.vram_mib.keys() & self.derived_vram_mib.keys():
            raise ValueError(f"its memory in {min(both)} is either measured or derived")
        return self


class Pins(Pin):
    """A whole pins file."""

    artifacts: dict[FileName, Artifact] = {}
    entries: dict[FileName, Entry]

    @model_validator(mode="after")
    def _artifacts_fit(self) -> Pins:
        for name, entry in self.entries.items():
            for member in entry.members:
                artifact = self.artifacts.get(member.artifact)
                if artifact is None:
                    raise ValueError(f"entry {name} takes a file from {member.artifact!r}, which is not an artifact")
                if member.member is None and member.sha256 != artifact.sha256:
                    raise ValueError(f"entry {name} and artifact {member.artifact!r} pin different hashes")
        return self


def load_pins(source: Path | Traversable, over: Path | None = None) -> Pins:
    """Read a pins file, and another one to lay over it.

    Raises:
        BadInput: `bad_pins`, with the first thing that is wrong and the file it is in.
    """
    tables = _tables(source)
    pins = _checked(tables, source.name)
    if over is None:
        return pins
    own = _tables(over)
    strange = sorted(own.keys() - Pins.model_fields.keys())
    if strange:
        raise BadInput(f"{over.name}: {strange[0]}: a pins file has artifacts and entries", code="bad_pins")
    laid = {name: {**tables.get(name, {}), **_table(own, name, over.name)} for name in Pins.model_fields}
    return _checked(laid, over.name)


def _tables(source: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{source.name}: {error}", code="bad_pins") from error


def _table(tables: dict[str, Any], name: str, file: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise BadInput(f"{file}: {name}: is no table", code="bad_pins")
    return table


def _checked(tables: dict[str, Any], file: str) -> Pins:
    try:
        return Pins.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(f"{file}: {where}: {first['msg'].removeprefix('Value error, ')}", code="bad_pins") from error
