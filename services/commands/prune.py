"""`reelgraph prune`: retention."""

from __future__ import annotations

import click

from tasks.retention import expire, expired


@click.command()
@click.option("--days", required=True, type=click.FloatRange(min=0), help="Jobs that ended longer ago are deleted.")
@click.option("--dry-run", is_flag=True, help="Only name them.")
def prune(days: float, *, dry_run: bool) -> None:
    """Delete jobs that ended long ago: document, outcomes, and the video and cached outcomes that no other job needs.

    A job that is open stays, however old.
    """
    deleted = 0
    for job in expired(days) if dry_run else expire(days):
        click.echo(f"{job.id} {job.source_name or ''}".rstrip())
        deleted += 1
    click.echo(f"{deleted} {'would be ' if dry_run else ''}deleted")
