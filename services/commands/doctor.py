"""`reelgraph doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.broker import embedded_broker
from services.cli import COMPLETED, INFRASTRUCTURE
from shared.errors import ReelgraphError
from shared.groups import groups, node_name, workers
from shared.ledger import Ledger
from shared.settings import settings
from shared.weights import Weights
from tasks.registry import analyzers, check_models, declared, weights_entry

LEAST_FREE_BYTES = 5 << 30
PINNED = ("celery", "kombu", "redis", "av", "numpy", "onnxruntime", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `help` says how to mend it; `required` when nothing works without it."""

    subject: str
    state: str
    fine: bool
    help: str = ""
    required: bool = True


@click.command()
def doctor() -> int:
    """Check this machine: what is missing and how to get it.

    Of the profile's models, as REELGRAPH_MODELS has them, it says which are not here and which nobody has locked; those
    that an analyzer works without are called extra. Exit code 3 when something that every job needs is missing.
    """
    check_models(settings().profile)
    table = Table("check", "found", "what to do")
    findings = [finding for check in CHECKS for finding in _run(check)]
    for one in findings:
        colour = "green" if one.fine else "red" if one.required else "yellow"
        table.add_row(one.subject, Text(one.state, colour), "" if one.fine else one.help)
    Console().print(table)
    bad = [one.subject for one in findings if one.required and not one.fine]
    click.echo(f"not ready: {', '.join(bad)}" if bad else "ready: `reelgraph analyze VIDEO`")
    return INFRASTRUCTURE if bad else COMPLETED


def _run(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (ReelgraphError, OSError) as error:
        return [Finding(check.__name__.strip("_"), str(error), fine=False, help="see the message")]


def _python() -> Iterator[Finding]:
    fine = (3, 11) <= sys.version_info < (3, 14)
    yield Finding("python", platform.python_version(), fine, "install Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[Finding]:
    for name in PINNED:
        try:
            yield Finding(name, version(name), fine=True)
        except PackageNotFoundError:
            yield Finding(name, "missing", fine=False, help="make demo, or install requirements/cpu.txt")


def _data_folder() -> Iterator[Finding]:
    folder = settings().data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding("data folder", f"{folder}: {error.strerror}", fine=False, help="set REELGRAPH_DATA_DIR")
        return
    state = f"{folder}, {free / (1 << 30):.0f} GiB free"
    yield Finding(
        "data folder",
        state,
        free >= LEAST_FREE_BYTES,
        "free some space: videos and frames are kept there",
        required=False,
    )


def _ledger() -> Iterator[Finding]:
    opened = Ledger(settings().ledger)
    opened.migrate()
    yield Finding("ledger", f"{opened.engine.dialect.name}, {len(opened.open_jobs())} open jobs", fine=True)


def _broker() -> Iterator[Finding]:
    with embedded_broker(settings().data_dir, configured_url=settings().broker_url) as broker:
        yield Finding("broker", f"{broker.kind}, answers", fine=True)


def _weights() -> Iterator[Finding]:
    store, profile = Weights.of_settings(), settings().profile
    needed = {weights_entry(one, profile) for one in analyzers().values()}
    for entry, names in declared(profile).items():
        state, command = _state(store, entry)
        lost = ", ".join(f"{name} ends unavailable" if entry in needed else f"{name} does less" for name in names)
        without = "" if state.startswith("complete") else f"   (without: {lost})"
        subject = f"{'weights' if entry in needed else 'extra'} {entry}"
        yield Finding(subject, state, state == "complete", command + without, required=False)


def _state(store: Weights, entry: str) -> tuple[str, str]:
    """How it stands with an entry's files, and the commands that mend it."""
    lock, pull = f"reelgraph models lock {entry}", f"reelgraph models pull {entry}"
    if not store.entry(entry).locked:
        return "not locked", f"{lock}; {pull}"
    if (found := store.on_disk(entry)) != "complete":
        return found, pull
    if store.verify([entry]):
        return "not as pinned", pull
    return ("complete", "") if store.is_reviewed(entry) else ("complete, taken unlocked", lock)


def _npm() -> Iterator[Finding]:
    found = shutil.which("npm")
    yield Finding(
        "npm", found or "missing", bool(found), "only to pull nanodet-m-416: apt-get install npm", required=False
    )


def _processors() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = sum(group.memory_mib << 20 for group in groups().values() if group.worker.get(settings().profile))
    state = f"{os.cpu_count()} cores, {memory / (1 << 30):.1f} GiB"
    worst = f"at worst the workers hold {needed / (1 << 30):.1f} GiB together"
    yield Finding("machine", state, memory >= needed, worst, required=False)


def _workers() -> Iterator[Finding]:
    for worker, queues in workers(settings().profile).items():
        purposes = "; ".join(groups()[queue].purpose for queue in queues)
        yield Finding(
            f"worker {node_name(worker, queues)}", f"of the profile {settings().profile}: {purposes}", fine=True
        )


CHECKS = (_python, _packages, _processors, _workers, _data_folder, _ledger, _broker, _weights, _npm)
