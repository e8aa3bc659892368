"""`reelgraph migrate`: the ledger's tables, before a new version starts."""

from __future__ import annotations

import click

from shared.ledger import Ledger
from shared.migrations import HEAD
from shared.settings import settings


@click.command()
def migrate() -> None:
    """Bring the tables of REELGRAPH_LEDGER_URL to this version.

    Every process does so when it opens the ledger; here it can fail before anything is replaced.
    """
    Ledger(settings().ledger).migrate()
    click.echo(f"the ledger is at {HEAD}")
