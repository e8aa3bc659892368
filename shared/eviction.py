"""The byte budget of a frame store: whole videos leave, least recently used first, never one that is in use."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from pathlib import Path

from shared.locks import FileLock

logger = logging.getLogger(__name__)

USE_LOCK = "use.lock"
"""Shared by all who read a video's frames."""
DECODING_LOCK = "decoding.lock"
"""Shared by passes over it. The write lock is another: a decoder's process has it, too, and may outlive its pass."""
USED = "used"
RESERVED = "reserved"
TRASH = ".trash-"


def touch(video: Path) -> None:
    """Note that the video is being used now."""
    mark = video / USED
    mark.touch()
    now = time.time_ns()
    os.utime(mark, ns=(now, now))  # the kernel's own stamps are milliseconds apart


def reserve(video: Path, bytes_: int) -> None:
    """Note how large the video will become, so that other processes count with it; 0 takes the note back."""
    if bytes_:
        (video / RESERVED).write_text(str(bytes_))
    else:
        (video / RESERVED).unlink(missing_ok=True)


def make_room(store: Path, wanted_bytes: int, budget_bytes: int) -> None:
    """Remove unused videos, the least recently used first, until `wanted_bytes` more fit into the budget and the disk.

    Videos in use stay, even when the budget is exceeded. Arrays that are mapped stay valid: the kernel keeps the bytes
    of a removed file until the last map is gone.
    """
    for trash in store.glob(TRASH + "*"):
        shutil.rmtree(trash, ignore_errors=True)
    videos = sorted((path for path in store.iterdir() if path.is_dir()), key=_last_used)
    used = {video: _bytes(video) for video in videos}
    total = sum(used.values())
    for video in videos:
        if total + wanted_bytes <= budget_bytes and wanted_bytes <= shutil.disk_usage(store).free:
            return
        if remove_video(video):
            total -= used[video]
            logger.info("frames_evicted", extra={"video": video.name, "bytes": used[video]})


def remove_video(video: Path) -> bool:
    """Remove a video's frames; False when somebody reads or decodes them."""
    try:
        with FileLock(video / USE_LOCK) as read, FileLock(video / DECODING_LOCK) as decoded:
            # a full disk has no room for a lock that is not there: nobody has decoded
            if not read.take() or (decoded.path.exists() and not decoded.take()):
                return False
            trash = video.with_name(f"{TRASH}{uuid.uuid4().hex}")
            video.rename(trash)
    except FileNotFoundError:  # another process evicts as well
        return True
    shutil.rmtree(trash, ignore_errors=True)
    return True


def is_read(video: Path) -> bool:
    """Whether any process has a reader of this video open."""
    try:
        with FileLock(video / USE_LOCK) as alone:
            return not alone.take()
    except FileNotFoundError:  # somebody removed the folder
        return False


def _last_used(video: Path) -> float:
    try:
        return (video / USED).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _bytes(video: Path) -> int:
    """Bytes on disk, or those reserved by a writer if they are more."""
    total = 0
    for folder, _, names in os.walk(video):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:  # renamed by its writer just now
                continue
    try:
        return max(total, int((video / RESERVED).read_text() or 0))
    except FileNotFoundError:
        return total
