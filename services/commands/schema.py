"""`reelgraph schema`: the JSON Schema of the document."""

from __future__ import annotations

import json

import click

from tasks.registry import document_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of result.json, with the tracks of every analyzer."""
    click.echo(json.dumps(document_schema(), indent=2, sort_keys=True))
