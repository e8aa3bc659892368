"""`reelgraph prune`: retention."""

from __future__ import annotations

import time

import click

from shared.errors import BadInput
from shared.ledger import Job
from shared.listing import ended_before
from tasks.node import ledger
from tasks.removal import remove

AT_ONCE = 100
DAY_SECONDS = 86_400


@click.command()
@click.option("--days", required=True, type=click.FloatRange(min=0), help="Jobs that ended longer ago are deleted.")
@click.option("--dry-run", is_flag=True, help="Only name them.")
def prune(days: float, *, dry_run: bool) -> None:
    """Delete jobs that ended long ago: document, outcomes, and the video and cached outcomes that no other job needs.

    A job that is open stays, however old.
    """
    before = time.time() - days * DAY_SECONDS
    deleted = 0
    while old := ended_before(ledger(), before, limit=AT_ONCE):
        for job in old:
            click.echo(f"{job.id} {job.source_name or ''}".rstrip())
            deleted += 1 if dry_run else _delete(job)
        if dry_run:
            break
    click.echo(f"{deleted} {'would be ' if dry_run else ''}deleted")


def _delete(job: Job) -> int:
    try:
        remove(job)
    except BadInput as error:
        if error.code != "job_open":  # it is gone: somebody else was faster
            raise
        return 0
    return 1
