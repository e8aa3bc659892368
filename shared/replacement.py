"""Files that a person or another process may read at any time: written whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Put the text in the file's place once all of it is on the disk, with its folder where that is missing.

    What is there and is no file, such as `/dev/stdout`, is written to as it is.

    Raises:
        OSError: what was there before stays as it was.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, prefix=f".{target.name}.", delete=False, encoding="utf-8"
    ) as file:
        aside = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(target)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
