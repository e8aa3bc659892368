"""`reelgraph demo`: a sample reel of its own, composed and analyzed."""

from __future__ import annotations

from pathlib import Path

import click

from services.commands.analyze import run
from services.demo import PINS, Assets, compose_sample
from services.pulls import shown_pull
from shared.settings import settings
from shared.weights import Weights

SAMPLE = "sample-reel.mp4"


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--compose-only", is_flag=True, help="Write the sample reel and its truth.json into --out, no more.")
def demo(out: Path, *, compose_only: bool) -> int:
    """Compose a sample reel and analyze it.

    The reel is made of pictures, moving pictures and speech that packages carry, each pinned by its sha256; truth.json
    says what was put where.
    """
    if compose_only:
        click.echo(compose(out))
        return 0
    return run([compose(settings().data_dir / "demo" / "reel")], out)


def compose(folder: Path) -> Path:
    """The sample reel in `folder`, made when it is not there yet."""
    reel = folder / SAMPLE
    if not reel.exists():
        assets = Weights(settings().data_dir / "demo" / "assets", PINS)
        with shown_pull() as report:
            assets.pull(assets.entries(), report=report)
        compose_sample(reel, Assets.pinned(assets.path))
    return reel
