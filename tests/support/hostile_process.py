"""A process that reads hostile files as the product does: `python -m tests.support.hostile_process FOLDER EACH`.

It prints a line of JSON for each case: how it ended, how long it took, what memory the process that read it had, and
what it left in the frame store. A case that raises anything but the product's own errors ends it with a traceback.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.errors import BadInput, Skipped
from shared.frames import Audio, FrameReader, Frames, FrameStore, Rendition
from shared.isolated import probe, thumbnail
from shared.passes import UNREAD_SECONDS
from shared.schema import MediaInfo
from tests.support.hostile import Case, clips, corpus
from tests.support.processes import eventually
from tests.support.reading_process import DecoderMemory

STORE_BYTES = 64 << 20
WANTED: tuple[Rendition, ...] = (Frames(), Frames(2, 32, "gray"), Audio(), Audio(48_000, mono=False))


@dataclass(frozen=True, slots=True)
class Ending:
    """How one file ended. `code` None: read to its end; `step` is the one that refused it."""

    name: str
    step: str
    code: str | None
    message: str
    seconds: float
    peak_mib: int
    store_bytes: int


def read(path: Path, folder: Path) -> tuple[str, BadInput | None]:
    """Probe, one picture, then all of every rendition; where it was refused."""
    try:
        info = probe(path)
    except BadInput as error:
        return "probe", error
    try:
        if info.has_video:
            thumbnail(path, info, info.duration_seconds / 2, width=32)
    except BadInput as error:
        if error.code in ("decoder_crashed", "too_slow", "too_much_memory"):
            return "thumbnail", error
    try:
        with FrameStore(folder, budget_bytes=STORE_BYTES).open(path, info, WANTED) as reader:
            for need in WANTED:
                _read(reader, need, info)
    except BadInput as error:
        return "decode", error
    return "", None


def _read(reader: FrameReader, need: Rendition, info: MediaInfo) -> None:
    try:
        if isinstance(need, Audio):
            reader.audio(need)
        else:
            for batch in reader.frames(need):
                batch.frames.max(initial=0)
    except Skipped:
        if info.has_audio if isinstance(need, Audio) else info.has_video:
            raise


def ending(case: Case, folder: Path, memory: DecoderMemory) -> Ending:
    """Write the file, read it, and look at what that cost."""
    path, store = folder / f"{case.name}.{case.ending}", folder / "store"
    path.write_bytes(case.data)
    memory.peak_mib = 0
    began = time.monotonic()
    step, error = read(path, store)
    seconds = round(time.monotonic() - began, 3)
    # where a rendition was refused the pass goes on with the others, and ends since nobody reads it
    assert eventually(lambda: not list(store.rglob("*.partial")), 3 * UNREAD_SECONDS)
    left = sum(map(_size, store.rglob("*")))
    shutil.rmtree(store, ignore_errors=True)
    path.unlink()
    code, message = (error.code, error.message) if error else (None, "")
    return Ending(case.name, step, code, message, seconds, memory.peak_mib, left)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # a pass that nobody reads has just ended
        return 0


def main() -> None:
    folder, each = Path(sys.argv[1]), int(sys.argv[2])
    memory = DecoderMemory()
    memory.start()
    made = clips(folder)
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    for case in corpus(made, each):
        print(json.dumps(asdict(ending(case, folder, memory))), flush=True)  # noqa: T201  (read by the test)


if __name__ == "__main__":
    main()
