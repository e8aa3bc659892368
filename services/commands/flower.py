"""`reelgraph flower`: Celery's work in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import click

from shared.errors import BadInput
from shared.groups import groups
from shared.log import configure_logging
from shared.settings import settings

OPTIONS = (
    "--url_prefix=flower",
    "--auto_refresh=True",
    "--tasks_columns=name,uuid,state,args,worker,received,runtime",
    "--purge_offline_workers=60",
)
"""However it is started, it looks the same."""


@click.command()
@click.option("--socket", type=click.Path(path_type=Path), help="Unix socket to serve on, for the API to show.")
@click.option("--port", type=click.IntRange(1, 65535), help="Or a TCP port, on loopback.")
def flower(socket: Path | None, port: int | None) -> None:
    """Show Celery's workers and tasks under /flower/, until it is ended.

    On a socket its own HTTP API is open: whoever reaches a socket in a private folder is the API, which asks for an
    admin key. The broker is REELGRAPH_BROKER_URL.
    """
    if (socket is None) == (port is None):
        raise BadInput("say where: either --socket or --port", code="no_place")
    where = [f"--unix_socket={socket}"] if socket else ["--address=127.0.0.1", f"--port={port}"]
    if socket:
        os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
    configure_logging("INFO", json=settings().log_json)
    from tasks.celery import app  # Celery, which `--help` need not import

    # a worker that has many groups answers late
    patience = f"--inspect_timeout={1000 + 200 * len(groups())}"
    app.start(["--quiet", "flower", *OPTIONS, patience, *where])
