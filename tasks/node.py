"""What every task of this process stands on, opened once: ledger, storage, frame store, events, weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path

from sqlalchemy import Engine

from shared.advisory import VIDEOS, advisory_lock
from shared.bucket import Bucket
from shared.events import Events
from shared.frames import FrameStore
from shared.ledger import Ledger
from shared.objects import Hosts, ObjectStorage
from shared.settings import settings
from shared.storage import LOCK_SECONDS, StillHeld, Storage
from shared.weights import Weights


def run_lock(run_id: str) -> Path:
    """The lock that a command holds while it and its workers run, beside their logs; its jobs bear its id."""
    return settings().data_dir / "logs" / run_id / "lock"


@cache
def ledger() -> Ledger:
    """The ledger, its tables brought up to date."""
    opened = Ledger(settings().ledger)
    opened.migrate()
    return opened


@cache
def storage() -> Storage:
    """Videos, outcomes and documents: a folder, or a bucket if the settings name one.

    Raises:
        BadInput: the settings name one that cannot be.
    """
    here = settings()
    if here.storage_url is None:
        return Storage(here.storage_folder)
    bucket = Bucket(here.storage_url, here.storage_endpoint, here.storage_encryption, here.storage_public_endpoint)
    engine = ledger().engine
    is_shared = engine.dialect.name == "postgresql"
    hosts = Hosts(partial(_hold_videos, engine), ledger().installation) if is_shared else None
    return ObjectStorage(here.storage_folder, bucket, copies_bytes=here.storage_copies_bytes, hosts=hosts)


def _hold_videos(engine: Engine, exclusive: bool) -> AbstractContextManager[StillHeld]:  # noqa: FBT001  (of type Hold)
    return advisory_lock(engine, VIDEOS, exclusive=exclusive, seconds=LOCK_SECONDS)


@cache
def frame_store() -> FrameStore:
    """The frame store of the node."""
    mine = settings()
    return FrameStore(mine.frames_folder, budget_bytes=mine.frame_store_bytes, video_bytes=mine.video_frames_bytes)


@cache
def events() -> Events:
    """The event streams on the broker's Redis. Needs `broker_url`."""
    return Events(settings().broker)


@cache
def weights() -> Weights:
    """The model files."""
    return Weights.of_settings()


def forget() -> None:
    """Open everything anew at the next use; for a process whose settings have changed."""
    for opened in (ledger, storage, frame_store, events, weights):
        opened.cache_clear()
