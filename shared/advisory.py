"""A lock that all hosts of one PostgreSQL ledger share. It ends with its connection, so also when its holder dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from shared.errors import Infrastructure

VIDEOS = 0x766964656F  # "video": nobody removes one while another is noting a job on it
POLL_SECONDS = 0.02


@contextmanager
def advisory_lock(engine: sa.Engine, number: int, *, exclusive: bool, seconds: float) -> Iterator[None]:
    """Hold the lock of that number, shared or exclusive. The engine pools no connections.

    Raises:
        Infrastructure: others have held it for too long (`storage_busy`), or the database cannot be reached.
    """
    take = sa.func.pg_try_advisory_lock if exclusive else sa.func.pg_try_advisory_lock_shared
    give_up = time.monotonic() + seconds
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except sa.exc.SQLAlchemyError as error:
        raise Infrastructure(f"the ledger cannot be reached: {type(error).__name__}") from error
    with connection:
        # asked again and again: one that waits in PostgreSQL's queue for exclusive use would stop all sharers
        while not _taken(connection, take(number)):
            if time.monotonic() > give_up:
                raise Infrastructure("videos are being stored or removed; try again soon", code="storage_busy")
            time.sleep(POLL_SECONDS)
        yield


def _taken(connection: sa.Connection, question: sa.Function[bool]) -> bool:
    try:
        return bool(connection.execute(sa.select(question)).scalar_one())
    except sa.exc.SQLAlchemyError as error:
        raise Infrastructure(f"the ledger cannot be asked: {type(error).__name__}") from error
