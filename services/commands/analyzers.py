"""`reelgraph analyzers`: what there is to look with."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Column, Table

from shared.settings import settings
from tasks.analyzer import Options
from tasks.registry import AnyAnalyzer, check_models, has_what_it_needs
from tasks.registry import analyzers as all_analyzers


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def analyzers(names: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001  (click passes options by name)
    """List the analyzers; with names, show their options and tracks as well."""
    check_models()
    known = all_analyzers()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"unknown analyzer {unknown[0]!r}; there are {', '.join(known)}")
    chosen = [known[name] for name in names] or list(known.values())
    if as_json:
        click.echo(json.dumps([describe(one) for one in chosen], indent=2))
    elif names:
        for one in chosen:
            _show(one)
    else:
        _list(chosen)


def describe(analyzer: AnyAnalyzer) -> dict[str, object]:
    """Everything about an analyzer that its users need."""
    return {
        "name": analyzer.name,
        "version": analyzer.version,
        "group": analyzer.group,
        "summary": analyzer.summary,
        "requires": analyzer.requires,
        "uses": analyzer.uses,
        "weights": analyzer.weights,
        "available": runs_here(analyzer),
        "tracks": [f"{analyzer.name}/{name}" for name in _tracks(analyzer)],
        "options": analyzer.options.model_json_schema().get("properties", {}),
    }


def runs_here(analyzer: AnyAnalyzer) -> bool:
    """Whether it is not switched off, and the profile has weights for it or it needs none."""
    return not _is_off(analyzer) and has_what_it_needs(analyzer, settings().profile)


def _is_off(analyzer: AnyAnalyzer) -> bool:
    return analyzer.infers_personal_traits and not settings().infer_personal_traits


def _tracks(analyzer: AnyAnalyzer) -> list[str]:
    return [name for name in analyzer.result.model_fields if name != "analysed"]


def _list(chosen: list[AnyAnalyzer]) -> None:
    name = Column("analyzer", min_width=max((len(one.name) for one in chosen), default=0))  # a name is typed again
    table = Table(name, "group", "finds", f"in {settings().profile}")
    for one in chosen:
        table.add_row(one.name, one.group, one.summary, _answer(one))
    Console().print(table)


def _answer(analyzer: AnyAnalyzer) -> str:
    return "switched off" if _is_off(analyzer) else "yes" if runs_here(analyzer) else "no weights"


def _show(analyzer: AnyAnalyzer) -> None:
    click.echo(f"{analyzer.name} (version {analyzer.version}, group {analyzer.group})\n  {analyzer.summary}")
    click.echo(f"  tracks: {', '.join(f'{analyzer.name}/{name}' for name in _tracks(analyzer))}")
    for heading, values in (("requires", analyzer.requires), ("uses", analyzer.uses)):
        if values:
            click.echo(f"  {heading}: {', '.join(values)}")
    options: type[Options] = analyzer.options
    for key, field in options.model_fields.items():
        click.echo(f"  --option {analyzer.name}.{key}={field.default}  {field.description or ''}")
