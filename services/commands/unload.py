"""`reelgraph unload`: give a group's GPU memory back."""

from __future__ import annotations

from pathlib import Path

import click

from services.broker import check, found, hide_password
from services.cli import COMPLETED, INFRASTRUCTURE
from shared.errors import BadInput, Infrastructure
from shared.groups import groups
from shared.settings import settings, use

REPLY_SECONDS = 3.0


@click.command()
@click.argument("group")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of the `reelgraph serve` meant.",
)
def unload(group: str, data: Path | None) -> int:
    """Let the workers of GROUP go of their models once their work is done; the next work loads them again.

    They are those of the broker of REELGRAPH_BROKER_URL, else of the `reelgraph serve` that runs over the data folder.
    REELGRAPH_UNLOAD_AFTER_SECONDS does the same by itself to workers that have been idle so long.
    """
    if data is not None:
        use(settings().model_copy(update={"data_dir": data.absolute()}))
    if group not in groups():
        raise BadInput(f"unknown group {group!r}; there are {', '.join(groups())}", code="unknown_group")
    from kombu.exceptions import KombuError

    from tasks.celery import app, reconnect
    from tasks.child import run_folder
    from tasks.worker import UNLOADING

    if settings().broker_url is None:
        if (url := found(run_folder())) is None:
            where = f"no `reelgraph serve` runs over {settings().data_dir}"
            raise BadInput(f"{where}: name its --data, or set REELGRAPH_BROKER_URL", code="no_broker")
        check(url)
        use(settings().model_copy(update={"broker_url": url}))
        reconnect()
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
