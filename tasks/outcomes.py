"""Stored outcomes: written aside first, put in their places by the one whose word the ledger takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from shared.schema import Outcome
from shared.storage import outcome_key
from tasks.node import storage


@contextmanager
def staged(job_id: str, outcomes: Sequence[Outcome]) -> Iterator[Callable[[], None]]:
    """Outcomes on disk that nobody reads yet; calling what is given puts them where they are read.

    Call it as the `commit` of a ledger's change: a worker that was thought dead and comes back replaces nothing.

    Raises:
        Infrastructure: the disk is full or cannot be written.
    """
    aside = {one.report.name: f"{outcome_key(job_id, one.report.name)}.{uuid4().hex}" for one in outcomes}

    left = dict(aside)

    def put() -> None:
        for name, key in aside.items():
            storage().move(key, outcome_key(job_id, name))
            del left[name]

    try:
        for one in outcomes:
            storage().put_aside(aside[one.report.name], one.model_dump_json().encode())
        yield put
    finally:
        for key in left.values():
            storage().remove(key)
