"""Which large files have been hashed and not been touched since: a worker does not hash 15 GB at every start.

A seal is a file's inode, size, times of its last writing and last change (ctime, which no program can set back) and the
sha256 it had. Whoever may write the folder could forge one; who may do that could exchange the program as well.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from shared.log import logger

SEALS = ".checked.json"
LEAST_BYTES = 64 << 20
"""Smaller files are hashed anew by every process: that takes less than 0.1 s."""

log = logger(__name__)


class Seals:
    """The seals of one weights folder. A folder that cannot be written has none: its files are hashed each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def holds(self, path: Path, sha256: str) -> bool:
        """Whether the file had this hash when it was last looked at, and is untouched since."""
        status = path.stat()
        if status.st_size < LEAST_BYTES:
            return False
        return self._read().get(self._key(path)) == [*_touched(status), sha256]

    def put(self, path: Path, before: os.stat_result, sha256: str) -> None:
        """Note that a file had this hash; `before` is its state when hashing began."""
        if before.st_size < LEAST_BYTES or _touched(path.stat()) != _touched(before):
            return
        seals = {**self._read(), self._key(path): [*_touched(before), sha256]}
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._folder, prefix=f"{SEALS}.", delete=False) as file:
                json.dump(seals, file)
            Path(file.name).replace(self._folder / SEALS)
        except OSError as error:
            log.info("not_sealed", file=str(path), reason=error.strerror or str(error))

    def _read(self) -> dict[str, list[int | str]]:
        try:
            seals: object = json.loads((self._folder / SEALS).read_bytes())
        except (OSError, ValueError):
            return {}
        return seals if isinstance(seals, dict) else {}

    def _key(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _touched(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
