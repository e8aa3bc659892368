"""What tasks stand on, in a folder of a test's own, without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.settings import Settings, settings, use
from tasks.node import forget

NOBODY = "redis://127.0.0.1:1/0"


@contextmanager
def node(data: Path, **changed: object) -> Iterator[Settings]:
    """Ledger, storage, frame store and weights over a data folder; events go to nobody."""
    before = settings()
    use(before.model_copy(update={"data_dir": data, "broker_url": NOBODY, **changed}))
    forget()
    try:
        yield settings()
    finally:
        use(before)
        forget()
