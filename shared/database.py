"""The ledger's database: engines, tables brought to this version, what of its errors is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event

from shared.errors import Infrastructure
from shared.migrations import HEAD, is_known

BUSY_SECONDS = 30
KEPT_CONNECTIONS = 4
MIGRATION_LOCK = 0x7265656C  # "reel": the advisory lock that PostgreSQL's migrations take


def connect(url: str, *, durable: bool = False) -> sa.Engine:
    """An engine for the ledger; what a `durable` one commits outlives a power cut, which costs SQLite a sync each time.

    Raises:
        sqlalchemy.exc.ArgumentError, ValueError, ModuleNotFoundError: the URL is none, or asks for a missing driver.
    """
    if not url.startswith("sqlite"):
        arguments: dict[str, int | None] = {"connect_timeout": 5}
        if sa.make_url(url).get_driver_name() == "psycopg":
            arguments["prepare_threshold"] = None  # behind a pooler another client's statement may have the name
        return sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=arguments)
    # opening SQLite takes longer than most queries; as many as there are threads, the idle ones of them kept
    engine = sa.create_engine(url, pool_size=KEPT_CONNECTIONS, max_overflow=-1, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", partial(_tune_sqlite, "FULL" if durable else "NORMAL"))
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the tables to this version; several processes may call it at once.

    Raises:
        Infrastructure: the database cannot be reached or written, or a newer version has been there
            (`unknown_ledger_version`).
    """
    with _migration_lock(engine.url), as_infrastructure("opened"):
        with engine.connect() as connection:
            if _is_current(connection):
                return
        with _transaction(engine) as connection:
            if connection.dialect.name == "postgresql":  # without it, two that create a table at once collide
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                if _is_current(connection):
                    return
            _upgrade(connection)


@contextmanager
def as_infrastructure(verb: str) -> Iterator[None]:
    """Turn what the database itself is to blame for into Infrastructure; a broken constraint is the caller's."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        # the base class itself: a file that is no SQLite database
        if type(error) not in {sa.exc.DatabaseError, sa.exc.OperationalError}:
            raise
        raise Infrastructure(f"the ledger cannot be {verb}: {error.orig}", code="ledger_unreachable") from error


def _tune_sqlite(synchronous: str, connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _migration_lock(url: sa.URL) -> Iterator[None]:
    if url.get_backend_name() != "sqlite" or not url.database:
        yield  # a server has locks of its own
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(os.fspath(Path(url.database).with_suffix(".lock")), timeout=BUSY_SECONDS):
            yield
    except Timeout as error:
        message = f"another process has been migrating the ledger for {BUSY_SECONDS} s"
        raise Infrastructure(message, code="ledger_busy") from error
    except OSError as error:
        raise Infrastructure(f"{folder} cannot be written: {error.strerror}", code="disk_error") from error


@contextmanager
def _transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction, tables and all: nothing is changed if its process dies before its end.

    Left to itself, Python's sqlite3 begins none before a statement that creates or alters a table.
    """
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            connection.execution_options(isolation_level="AUTOCOMMIT")  # sqlite3's own beginnings off, for this loan
        with connection.begin():
            if is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection


def _is_current(connection: sa.Connection) -> bool:
    if not sa.inspect(connection).has_table("alembic_version"):
        return False
    version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if version is not None and not is_known(version):
        message = (
            f"the ledger is at version {version!r}, and this Reelgraph knows 0001 to {HEAD}: "
            "use the one that migrated it, or a newer one, or restore a backup of the ledger"
        )
        raise Infrastructure(message, code="unknown_ledger_version", retryable=False)
    return bool(version == HEAD)


def _upgrade(connection: sa.Connection, revision: str = "head") -> None:
    from alembic import command  # slow to import and needed once in a ledger's life
    from alembic.config import Config

    config = Config()
    with as_file(files("shared") / "migrations") as scripts:
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
