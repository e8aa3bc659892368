"""What every task of this process stands on, opened once: ledger, storage, frame store, events, weights."""

from __future__ import annotations

from functools import cache

from shared.events import Events
from shared.frames import FrameStore
from shared.ledger import Ledger
from shared.settings import settings
from shared.storage import Storage
from shared.weights import Weights


@cache
def ledger() -> Ledger:
    """The ledger, its tables brought up to date."""
    opened = Ledger(settings().ledger)
    opened.migrate()
    return opened


@cache
def storage() -> Storage:
    """Videos, outcomes and documents."""
    return Storage(settings().storage_folder)


@cache
def frame_store() -> FrameStore:
    """The frame store of the node."""
    return FrameStore(settings().frames_folder, budget_bytes=settings().frame_store_bytes)


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
