"""What one job asks of a PostgreSQL ledger and of a bucket: statements and requests, and the servers' CPU.

    python -m bench.stores [--jobs 20]

Jobs of 25 no-ops through the whole service, its ledger in a PostgreSQL server of its own and its files in moto's S3
server, as the tests start them. What the service asks for while it has no job is taken off. Statements are counted by
the server's log in a round of their own, as writing that log is work, too. moto is a test's server in Python: its CPU
says nothing about a real bucket, the number of requests does.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import psutil
import sqlalchemy as sa

from bench.cpu import tree_cpu
from bench.idle import Idle, idle_service
from bench.orchestration import milliseconds
from bench.rows import Row, say
from shared.settings import settings, use
from shared.tables import Job
from tests.support.postgres import postgres
from tests.support.s3 import BUCKET, s3_server

ANALYZERS = 25
REST_SECONDS, TRANSACTIONS = 5.0, 200
STATEMENT = re.compile(r"LOG: +(?:statement|execute [^:]*): +(\w+)")
REQUEST = re.compile(r'"([A-Z]+) /\S* HTTP')


def statements(log: str) -> Counter[str]:
    """Statements in a PostgreSQL log by their first word, in capitals."""
    return Counter(word.upper() for word in STATEMENT.findall(log))


def requests(log: str) -> Counter[str]:
    """Requests in moto's log by method."""
    return Counter(REQUEST.findall(log))


def a_job(idle: Idle, jobs: int, count: Callable[[], Counter[str]]) -> dict[str, float]:
    """How much a count grows by one job; what it grows by while nobody has a job is taken off."""
    first, at = count(), time.monotonic()
    time.sleep(REST_SECONDS)
    before, rest = count(), time.monotonic() - at
    at = time.monotonic()
    milliseconds(idle, ANALYZERS, jobs)
    after, worked = count(), time.monotonic() - at
    share = worked / rest
    return {
        name: round((after[name] - before[name] - (before[name] - first[name]) * share) / jobs, 3) for name in after
    }


def logged(engine: sa.Engine, kind: str) -> None:
    """Have the server log statements of a kind (`all`, `none`)."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"ALTER SYSTEM SET log_statement = '{kind}'"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))


def measure(idle: Idle, jobs: int, server: psutil.Process, log: Path, bucket: tuple[psutil.Process, Path]) -> None:
    """Print the rows."""
    moto, asked = bucket
    engine = sa.create_engine(settings().ledger)
    milliseconds(idle, ANALYZERS, 3)

    def cpu() -> Counter[str]:
        return Counter({"postgres": tree_cpu(server), "moto": tree_cpu(moto)})

    took = a_job(idle, jobs, cpu)
    say(Row(row="stores.postgres_cpu", value=took["postgres"] * 1000, unit="ms/job"))
    say(Row(row="stores.moto_cpu", value=took["moto"] * 1000, unit="ms/job"))
    found = a_job(idle, jobs, lambda: requests(asked.read_text(errors="replace")))
    say(Row(row="stores.bucket_requests", value=sum(found.values()), unit="requests/job", detail=found))
    logged(engine, "all")
    time.sleep(1.0)  # every backend has read the new setting before its next statement
    found = a_job(idle, jobs, lambda: statements(log.read_text(errors="replace")))
    say(Row(row="stores.statements", value=sum(found.values()), unit="statements/job", detail=found))
    logged(engine, "none")
    engine.dispose()
    measure_connections(server)


def measure_connections(server: psutil.Process) -> None:
    """The server's CPU for a small transaction: over a connection of its own, as the ledger does it, and a kept one."""
    for name, pool in (("own", sa.pool.NullPool), ("kept", sa.pool.QueuePool)):
        engine = sa.create_engine(settings().ledger, poolclass=pool)
        before = tree_cpu(server)
        for _ in range(TRANSACTIONS):
            with engine.begin() as connection:
                connection.execute(sa.select(Job.state).limit(1)).all()
        engine.dispose()
        time.sleep(0.5)  # backends end after their clients
        spent = (tree_cpu(server) - before) / TRANSACTIONS * 1000
        say(Row(row=f"stores.transaction_{name}_connection", value=spent, unit="CPU ms"))


@click.command()
@click.option("--jobs", default=20, show_default=True)
def main(*, jobs: int) -> None:
    """Measure."""
    before = settings()
    with tempfile.TemporaryDirectory() as name, postgres() as url, s3_server(Path(name)) as s3:
        folder = Path(parse_qs(urlsplit(url).query)["host"][0])
        server = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().splitlines()[0]))
        there = {"storage_url": f"s3://{BUCKET}/bench", "storage_endpoint": s3.endpoint}
        use(before.model_copy(update={"ledger_url": url, **there}))
        with idle_service() as idle:
            measure(idle, jobs, server, folder / "log", (psutil.Process(s3.process.pid), s3.log))
        use(before)


if __name__ == "__main__":
    main()
