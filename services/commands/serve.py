"""`reelgraph serve`: the whole service on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import click

from services.interrupts import interruptible
from services.server import POLL_SECONDS, service
from shared.groups import workers
from shared.log import configure_logging, logger
from shared.settings import settings, use
from tasks.loading import NotLoaded
from tasks.registry import analyzers, weights_entry

AS_CHOSEN = ("not_in_profile", "switched_off")
"""Codes of what is not loaded because profile and settings say so."""
CURES = {"weights_missing": "reelgraph models pull", "weights_unlocked": "reelgraph models lock"}
"""By code: the command that takes the entries which it would help."""

log = logger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address. Others than loopback need an API key.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="TCP port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder: ledger, videos, results, frame store.",
)
@click.option("--profile", help="Models and workers: local (CPU) or gpu.  [default: local]")
@click.option(
    "--flower/--no-flower", "with_flower", default=True, show_default=True, help="Show Celery's work at /flower."
)
def serve(host: str, port: int, data: Path | None, profile: str | None, *, with_flower: bool) -> int:
    """Run broker, workers, API and page until Ctrl-C. One command, one machine.

    \b
    Examples:
      reelgraph serve
      reelgraph keys create phone && reelgraph serve --host 0.0.0.0
    """  # noqa: D301  (click's own mark for a paragraph that is not wrapped)
    changed = {"profile": profile, "data_dir": data.absolute() if data else None}
    use(settings().model_copy(update={key: value for key, value in changed.items() if value is not None}))
    workers(settings().profile)  # refuses a profile that does not exist
    configure_logging("WARNING")
    with interruptible():
        try:
            with service(host, port, with_flower=with_flower, data=data) as running:
                running.wait_up()
                workers_at = ", workers: /flower" if with_flower else ""
                click.echo(f"Reelgraph is at {running.url} (API: /docs{workers_at}). Logs: {running.stack.logs}")
                running.stack.wait_ready(settings().preload_seconds, check=running.check)
                click.echo(f"{readiness(running.stack.not_loaded(), settings().profile)} Ctrl-C ends everything.")
                running.stack.lasts = True
                while True:
                    try:
                        running.check()
                    except OSError as error:  # no process can be started now: no memory, no place, too many files
                        log.warning("not_restarted", error=str(error))
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            click.echo("stopped; open jobs go on at the next start", err=True)
            return 0


def readiness(missing: Mapping[str, NotLoaded], profile: str) -> str:
    """How the workers have started, as a sentence: what they could not load, by reason."""
    missing = {name: why for name, why in missing.items() if why.code not in AS_CHOSEN}
    if not missing:
        return "The workers have loaded their models."
    parts = []
    for code in sorted({why.code for why in missing.values()}):
        names = sorted(name for name, why in missing.items() if why.code == code)
        entries = {entry for name in names if (entry := weights_entry(analyzers()[name], profile))}
        cure = f": `{CURES[code]} {' '.join(sorted(entries))}`" if code in CURES and entries else ""
        parts.append(f"{', '.join(names)} ({code.replace('_', ' ')}{cure})")
    count = "1 analyzer is" if len(missing) == 1 else f"{len(missing)} analyzers are"
    return f"Ready, but {count} not: {'; '.join(parts)}; the logs say more."
