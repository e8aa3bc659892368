"""`reelgraph keys`: who may use the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from shared.keys import SCOPES, ApiKey, Keys, Scope
from shared.settings import settings, use
from shared.webhooks import secret_of
from tasks.node import ledger

PIPE_WIDTH = 10_000
"""Characters: one line a key, for programs."""

at_least_one = click.IntRange(min=1)


def _over(_context: click.Context, _option: click.Parameter, data: Path | None) -> None:
    if data is not None:
        use(settings().model_copy(update={"data_dir": data.absolute()}))


in_data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_over,
    expose_value=False,
    help="Data folder whose ledger holds the keys, as of `reelgraph serve`.",
)


@click.group()
def keys() -> None:
    """Create, list and revoke API keys. They lie in the ledger: of --data, or REELGRAPH_LEDGER_URL."""


@keys.command()
@in_data
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("read", "write"),
    show_default=True,
    type=click.Choice(SCOPES),
    help="What the key may do; give it once per scope. admin does all of it, for jobs of its own and of no key, and "
    "sees /metrics and /flower; jobs of other keys stay hidden.",
)
@click.option("--requests-per-minute", type=at_least_one, help="How often it may ask.  [default: no limit]")
@click.option("--concurrent-jobs", type=at_least_one, help="How many of its jobs may be open.  [default: no limit]")
def create(name: str, scopes: tuple[str, ...], requests_per_minute: int | None, concurrent_jobs: int | None) -> None:
    """Make a key and print its token, this once: only a hash of it is kept."""
    made = Keys(ledger()).create(
        name,
        cast("tuple[Scope, ...]", scopes),
        requests_per_minute=requests_per_minute,
        concurrent_jobs=concurrent_jobs,
    )
    click.echo(f"Key {made.key.prefix} ({made.key.name}). Its token is shown only now:", err=True)
    click.echo(made.token)


@keys.command("list")
@in_data
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(*, as_json: bool) -> None:
    """Show every key: prefix, name, scopes, limits, when it was made, last used and revoked. No tokens."""
    listed = [_described(key) for key in Keys(ledger()).list()]
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    if not listed:
        click.echo("no keys yet; `reelgraph keys create NAME` makes one")
        return
    table = Table(box=None, header_style="bold")
    longest = max(len(str(one["prefix"])) for one in listed)
    for name in listed[0]:
        # what `revoke` needs is whole, however narrow the terminal
        table.add_column(name.replace("_", " "), min_width=longest if name == "prefix" else None)
    for one in listed:
        table.add_row(*("-" if value is None else str(value) for value in one.values()))
    is_seen = Console().is_terminal
    Console(width=None if is_seen else PIPE_WIDTH).print(table, highlight=False)


@keys.command()
@in_data
@click.argument("prefix")
def revoke(prefix: str) -> None:
    """Make the key with this PREFIX useless at once. Its jobs stay."""
    key = Keys(ledger()).revoke(prefix)
    click.echo(f"{key.prefix} ({key.name}) is revoked")


@keys.command("webhook-secret")
@in_data
@click.argument("prefix", required=False)
def webhook_secret(prefix: str | None) -> None:
    """Print the secret that signs webhooks of the key with this PREFIX; without one, of jobs that no key submitted."""
    owner = Keys(ledger()).of(prefix).id if prefix else None
    click.echo(secret_of(settings(), owner))


def _described(key: ApiKey) -> dict[str, str | int | None]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "scopes": " ".join(key.scopes),
        "requests_per_minute": key.requests_per_minute,
        "concurrent_jobs": key.concurrent_jobs,
        "created": _time(key.created_at),
        "last_used": _time(key.last_used_at),
        "revoked": _time(key.revoked_at),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
