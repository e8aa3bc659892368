"""`reelgraph render`: compose and Kubernetes manifests of the workers in groups.toml."""

from __future__ import annotations

from pathlib import Path

import click

from services.deployment.passwords import FOLDER, write_secrets
from services.deployment.rendering import stale, write
from shared.settings import settings


@click.command()
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=".", help="Clone of the project.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a file is stale.")
@click.option("--secrets", "with_secrets", is_flag=True, help=f"Make the secrets that are missing in {FOLDER}, too.")
def render(root: Path, *, check: bool, with_secrets: bool) -> int:
    """Write docker/compose.yaml and the workers below k8s/ from groups.toml, or REELGRAPH_GROUPS_FILE.

    Images have shared/groups.toml as it was when they were built. Another file is copied beside what is rendered, and
    given to every container that reads it.

    \b
    Examples:
      reelgraph render --check
      reelgraph plan --gpu-memory 80GiB --write my.toml && REELGRAPH_GROUPS_FILE=my.toml reelgraph render
    """  # noqa: D301  (click's own mark for a paragraph that is not wrapped)
    if check:
        old = stale(root)
        for path in old:
            click.echo(f"{path} is stale: reelgraph render", err=True)
        return 1 if old else 0
    written = write(root)
    for path in written:
        click.echo(path)
    if written:
        click.echo(f"rendered from {settings().groups_file or 'shared/groups.toml'}", err=True)
    if with_secrets:
        for name in write_secrets(root / FOLDER):
            click.echo(f"{FOLDER}/{name}")
    return 0
