"""`reelgraph migrate`: the ledger's tables, before a new version starts."""

from __future__ import annotations

import time

import click

from shared.errors import Infrastructure
from shared.ledger import Ledger
from shared.migrations import HEAD
from shared.settings import settings

TRY_EVERY = 2.0
"""Seconds between two tries to reach the database."""


@click.command()
@click.option(
    "--wait",
    "seconds",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How many seconds a database that cannot be reached is waited for.",
)
def migrate(seconds: float) -> None:
    """Bring the tables of REELGRAPH_LEDGER_URL to this version.

    Every process does so when it opens the ledger; here it can fail before anything is replaced.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            Ledger(settings().ledger).migrate()
        except Infrastructure as error:
            if error.code != "ledger_unreachable" or time.monotonic() + TRY_EVERY > end:
                raise
            click.echo(f"waiting: {error.message}", err=True)
            time.sleep(TRY_EVERY)
        else:
            break
    click.echo(f"the ledger is at {HEAD}")
