"""`reelgraph models`: the weights on this machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from services.cli import BAD_INPUT, COMPLETED, INFRASTRUCTURE, WITH_ERRORS
from services.pulls import shown_pull
from shared.errors import BadInput, Infrastructure, ReelgraphError, WeightsMissing, WeightsTampered
from shared.groups import groups, profiles
from shared.pull import is_under_way
from shared.settings import settings
from shared.weights import Weights
from tasks import registry
from tasks.registry import check_models

LOOK_EVERY = 5.0
"""Seconds between two looks of `wait`."""


@dataclass(frozen=True)
class Listed:
    """One entry as `list` shows it; `state` is complete, partial, absent or not locked.

    `reviewed` is false where it was taken by `pull --unlocked`, null while it is not locked.
    """

    entry: str
    summary: str
    sources: tuple[str, ...]
    size_bytes: int | None
    licence: str
    state: str
    reviewed: bool | None
    used_by: dict[str, tuple[str, ...]]
    """Analyzers by profile."""


def _store(_context: click.Context, _parameter: click.Parameter, folder: Path | None) -> Weights:
    check_models()
    return Weights.of_settings(folder)


store_option = click.option(
    "--weights",
    "weights",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_store,
    help="Folder of the model files.  [default: REELGRAPH_WEIGHTS_DIR]",
)
entries_argument = click.argument("entries", nargs=-1, metavar="[ENTRY]...")


@click.group()
def models() -> None:
    """List, pull and verify model weights, each file pinned by its sha256."""


@models.command("list")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_entries(weights: Weights, *, as_json: bool) -> None:
    """Show every entry: source, size, licence, whether it is here, and which analyzers use it."""
    listed = [_listed(weights, entry) for entry in weights.entries()]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in listed], indent=2))
        return
    table = Table(box=None, header_style="bold", title_justify="left")
    for heading in ("entry", "source", "MB", "licence", "here", "used by"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for one in listed:
        megabytes = f"{one.size_bytes / 1e6:.1f}" if one.size_bytes is not None else "?"
        users = (f"{name} ({profile})" for profile, names in one.used_by.items() for name in names)
        state = f"{one.state}, not reviewed" if one.reviewed is False else one.state
        table.add_row(one.entry, "\n".join(one.sources), megabytes, one.licence, state, "\n".join(users))
    # nothing is folded in a pipe
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table, highlight=False)


@models.command()
@store_option
@entries_argument
@click.option(
    "--profile", help="Without ENTRY: pull what the analyzers of this profile use.  [default: REELGRAPH_PROFILE, local]"
)
@click.option("--unlocked", is_flag=True, help="Take hub entries that nobody has locked as they are now.")
def pull(weights: Weights, entries: tuple[str, ...], profile: str | None, *, unlocked: bool) -> None:
    """Bring model files here and check them. What is here already is left alone; an interrupted pull goes on.

    Which entries analyzers use is as REELGRAPH_MODELS says. REELGRAPH_PINS_FILE adds entries, or puts others in place
    of those of this version.

    Entries of a hub are pulled at the revision, and with the hashes, that `reelgraph models lock` wrote down. With
    --unlocked an entry that was never locked is taken as the hub has it now; every receipt of a job that uses it says
    so (weights_reviewed: false).
    """
    if entries and profile:
        raise BadInput("name entries or a profile, not both", code="bad_option")
    wanted = entries or declared(profile or settings().profile)
    open_entries = [name for name in wanted if name in weights.entries() and not weights.entries()[name].locked]
    if unlocked and open_entries:
        weights.lock(open_entries, reviewed=False)
    with shown_pull() as report:
        weights.pull(wanted, report=report)
    for entry in wanted:
        click.echo(f"{entry}: ready in {weights.folder / entry}")


@models.command()
@store_option
@entries_argument
@click.option("--profile", help="Without ENTRY: lock what the analyzers of this profile use.  [default: gpu]")
def lock(weights: Weights, entries: tuple[str, ...], profile: str | None) -> int:
    """Ask the hub for the newest revision of entries, and for the sha256 of every file; accept only these from now on.

    The answer is written to hub.lock.json in the weights folder (REELGRAPH_HUB_LOCK): keep it under version control.
    Locking an entry again moves it to the newest revision. Where one of several cannot be locked the others are, and
    the exit code is 1.
    """
    if entries and profile:
        raise BadInput("name entries or a profile, not both", code="bad_option")
    known, of = weights.entries(), profile or "gpu"
    wanted = entries or [name for name in declared(of) if known[name].hub]
    if not wanted:
        click.echo(f"nothing to lock: all that the analyzers of the profile {of} use is pinned by this version")
        return COMPLETED
    failed: list[ReelgraphError] = []
    for name in wanted:
        try:
            (locked,) = weights.lock([name]).values()
        except ReelgraphError as error:
            if error.retryable or len(wanted) == 1:
                raise  # no hub: the others would wait for it in vain
            failed.append(error)
            click.echo(f"reelgraph: {name}: {error.message.removeprefix(f'{name}: ')}", err=True)
        else:
            size = sum(file.size_bytes for file in locked.files)
            files = f"{len(locked.files)} files, {size / 1e6:.1f} MB"
            click.echo(f"{name}: {locked.repository} at {locked.revision}, {files}")
    if len(failed) == len(wanted):
        return BAD_INPUT if all(isinstance(error, BadInput) for error in failed) else INFRASTRUCTURE
    return WITH_ERRORS if failed else COMPLETED


@models.command()
@store_option
@entries_argument
def verify(weights: Weights, entries: tuple[str, ...]) -> int:
    """Hash every file of the given entries, or of all that are here. Exit code 3 when one is not as pinned.

    Says of entries that were taken by `pull --unlocked` that nobody has reviewed what they are pinned to.
    """
    wanted = entries or [entry for entry in weights.entries() if weights.on_disk(entry) != "absent"]
    problems = weights.verify(wanted)
    broken = {problem.entry for problem in problems}
    for entry in wanted:
        if entry not in broken:
            unlocked = f"; nobody has reviewed them: `reelgraph models lock {entry}`"
            click.echo(f"{entry}: every file is the pinned one{'' if weights.is_reviewed(entry) else unlocked}")
    for problem in problems:
        click.echo(f"reelgraph: {problem.message}", err=True)
    if not wanted:
        click.echo(f"no weights in {weights.folder}; `reelgraph models pull` brings them")
    return INFRASTRUCTURE if problems else COMPLETED


@models.command("wait")
@click.option("--groups", "named", required=True, help="Groups of groups.toml, with commas between.")
@click.option("--seconds", default=3600.0, show_default=True, type=click.FloatRange(min=0), help="How long to wait.")
def wait_for(named: str, seconds: float) -> None:
    """Wait until a pull elsewhere has brought all that the analyzers of some groups need, in the settings' profile.

    A worker remembers what it could not load; one that starts after this has its models. Each file is checked as the
    worker will, but what the pull itself has hashed and nobody touched since is believed. What analyzers can do without
    is waited for only while a pull is under way. Exit code 3 when the time is over, with what lacks.
    """
    wanted, extras = awaited(settings().profile, [one.strip() for one in named.split(",") if one.strip()])
    end = time.monotonic() + seconds
    told = ""
    while (lack := _lack(Weights.of_settings(), wanted, extras)) is not None and time.monotonic() < end:
        if lack != told:
            click.echo(f"waiting: {lack}", err=True)
            told = lack
        time.sleep(min(LOOK_EVERY, max(0.0, end - time.monotonic())))
    if lack is not None and (needed := _lack(Weights.of_settings(), wanted, ())) is not None:
        raise Infrastructure(f"not all weights came in {seconds:.0f} s: {needed}", code="weights_awaited")
    for entry in extras:
        if (missing := _missing(Weights.of_settings(), entry)) is not None:
            click.echo(f"analyzers will do less: {missing}", err=True)
    click.echo(f"ready: {', '.join(wanted) or 'these groups need no weights'}")


def awaited(profile: str, named: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entries that the analyzers of these groups need in a profile, and those that they only make use of.

    Raises:
        BadInput: a group or the profile is unknown.
    """
    if unknown := [name for name in named if name not in groups()]:
        raise BadInput(f"unknown group {unknown[0]!r}; there are {', '.join(groups())}", code="unknown_group")
    if not named:
        raise BadInput(f"--groups names no group; there are {', '.join(groups())}", code="unknown_group")
    served = [one for one in registry.analyzers().values() if one.group in named]
    needed = {registry.weights_entry(one, profile) for one in served}
    used = {entry for one in served for entry in registry.used_entries(one, profile)}
    entries = [entry for entry in declared(profile) if entry in used]
    return tuple(entry for entry in entries if entry in needed), tuple(one for one in entries if one not in needed)


def _lack(weights: Weights, wanted: Sequence[str], extras: Sequence[str]) -> str | None:
    """Why the first of these entries cannot be used yet; None where all can, or nobody brings the extras that lack.

    Weights are new ones at every look: a lock may come while one waits.
    """
    for entry in wanted:
        if weights.entry(entry).locked and weights.on_disk(entry) != "complete":
            return _not_here(weights, entry)
    try:
        for entry in wanted:
            weights.check(entry)
        lacking = [missing for entry in extras if (missing := _missing(weights, entry)) is not None]
    except (WeightsMissing, WeightsTampered) as error:
        return error.message
    return lacking[0] if lacking and is_under_way(weights.folder) else None


def _missing(weights: Weights, entry: str) -> str | None:
    """Why an extra is not here; None where it is. Raises WeightsTampered where a worker would refuse what is here."""
    if weights.on_disk(entry) == "absent":
        return _not_here(weights, entry)
    try:
        weights.check(entry)
    except WeightsMissing as error:
        return error.message
    return None


def _not_here(weights: Weights, entry: str) -> str:
    return f"{entry} is not in {weights.folder}; `reelgraph models pull {entry}` brings it"


def declared(profile: str) -> tuple[str, ...]:
    """Entries that the analyzers of a profile use, as the settings are. Raises BadInput for an unknown profile."""
    if profile not in profiles():
        raise BadInput(f"unknown profile {profile!r}; there are {', '.join(profiles())}", code="unknown_profile")
    return tuple(registry.declared(profile))


def _listed(weights: Weights, name: str) -> Listed:
    entry = weights.entries()[name]
    sources = (
        " ".join(filter(None, (artifact.source, artifact.origin, artifact.pinned_version)))
        for artifact in weights.artifacts(name)
    )
    return Listed(
        entry=name,
        summary=entry.summary,
        sources=tuple(sources) if entry.locked else (f"hf {entry.hub}",),
        size_bytes=entry.size_bytes,
        licence=entry.licence,
        state=weights.on_disk(name) if entry.locked else "not locked",
        reviewed=weights.is_reviewed(name) if entry.locked else None,
        used_by={profile: users for profile in profiles() if (users := registry.declared(profile).get(name, ()))},
    )
