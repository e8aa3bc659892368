"""`reelgraph unload`: give a group's GPU memory back."""

from __future__ import annotations

import click

from services.broker import hide_password
from services.cli import COMPLETED, INFRASTRUCTURE
from shared.errors import BadInput, Infrastructure
from shared.groups import groups
from shared.settings import settings

REPLY_SECONDS = 3.0


@click.command()
@click.argument("group")
def unload(group: str) -> int:
    """Let the workers of GROUP go of their models once their work is done; the next work loads them again.

    REELGRAPH_UNLOAD_AFTER_SECONDS does the same by itself to workers that have been idle so long.
    """
    if group not in groups():
        raise BadInput(f"unknown group {group!r}; there are {', '.join(groups())}", code="unknown_group")
    if settings().broker_url is None:
        raise BadInput("workers are told by the broker: set REELGRAPH_BROKER_URL to its redis:// URL", code="no_broker")
    from kombu.exceptions import KombuError

    from tasks.celery import app
    from tasks.worker import UNLOADING

    try:
        replies = app.control.broadcast("unload", arguments={"group": group}, reply=True, timeout=REPLY_SECONDS) or []
    except (KombuError, OSError) as error:
        url = hide_password(settings().broker)
        raise Infrastructure(f"the broker {url} cannot be used: {error}", code="broker_unreachable") from error
    told = [name for reply in replies for name, answer in reply.items() if answer.get("ok") == UNLOADING]
    for name in told:
        click.echo(f"{name}: lets go of its models when its work is done")
    if not told:
        click.echo(f"reelgraph: no worker that serves {group} answered within {REPLY_SECONDS:g} s", err=True)
    return COMPLETED if told else INFRASTRUCTURE
