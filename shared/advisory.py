"""A lock that all hosts of one PostgreSQL ledger share. It ends with its transaction, so also when its holder dies.

It is a transaction's lock, not a session's: behind a pooler that hands out connections by transaction (PgBouncer) a
session's lock stays with whoever is next. While it is held, its transaction is idle: for a few questions, or for the
requests by which a video leaves a bucket.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import sqlalchemy as sa

from shared.errors import Infrastructure
from shared.log import logger
from shared.storage import StillHeld

VIDEOS = 0x766964656F  # "video": nobody removes one while another is noting a job on it
POLL_SECONDS = 0.02
HOLD_SECONDS = 300
"""PostgreSQL ends a transaction that idles longer: a host that is gone without a word keeps no lock for ever."""

log = logger(__name__)


@contextmanager
def advisory_lock(engine: sa.Engine, number: int, *, exclusive: bool, seconds: float) -> Iterator[StillHeld]:
    """Hold the lock of that number, shared or exclusive, for less than HOLD_SECONDS. The engine pools no connections.

    The block must not wait for others' use of the lock, and has other connections for what it asks the ledger. What is
    yielded asks PostgreSQL whether the lock is still held, and so begins the HOLD_SECONDS anew.

    Raises:
        Infrastructure: others have held it for too long (`storage_busy`), or the database cannot be reached.
    """
    take = sa.func.pg_try_advisory_xact_lock if exclusive else sa.func.pg_try_advisory_xact_lock_shared
    give_up = time.monotonic() + seconds
    try:
        connection = engine.connect()
    except sa.exc.SQLAlchemyError as error:
        raise Infrastructure(f"the ledger cannot be reached: {type(error).__name__}") from error
    try:
        # asked again and again: one that waits in PostgreSQL's queue for exclusive use would stop all sharers
        while not _taken(connection, take(number)):
            if time.monotonic() > give_up:
                raise Infrastructure("videos are being stored or removed; try again soon", code="storage_busy")
            connection.rollback()  # a pooler has the connection for others meanwhile
            time.sleep(POLL_SECONDS)
        yield partial(_still, connection)
    finally:
        try:
            connection.close()
        except sa.exc.SQLAlchemyError as error:  # it had ended before: what had to be under it asked first
            log.warning("lock_ended", error=type(error).__name__)


def _taken(connection: sa.Connection, question: sa.Function[bool]) -> bool:
    try:
        patience = sa.func.set_config("idle_in_transaction_session_timeout", f"{HOLD_SECONDS}s", True)  # noqa: FBT003  (for this transaction)
        return bool(connection.execute(sa.select(question, patience)).one()[0])
    except sa.exc.SQLAlchemyError as error:
        raise Infrastructure(f"the ledger cannot be asked: {type(error).__name__}") from error


def _still(connection: sa.Connection) -> None:
    """Raises Infrastructure: the transaction has ended, and with it the lock."""
    try:
        connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError as error:
        message = "the lock of the videos was lost while it was held; try again"
        raise Infrastructure(message, code="storage_busy") from error
