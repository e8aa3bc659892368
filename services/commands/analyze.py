"""`reelgraph analyze`: videos in, a document and a report for each out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import redis

from services.cli import COMPLETED, INFRASTRUCTURE, WITH_ERRORS
from services.client import Wishes
from services.display import Display, display
from services.interrupts import interruptible
from services.remote import is_address, run_remotely
from services.results import folders_of, stored_picture, unwritten
from services.stack import Stack, local_stack
from services.submit import accept
from shared.errors import BadInput, Infrastructure
from shared.groups import workers
from shared.isolated import probe
from shared.log import configure_logging
from shared.schema import Document, OptionValue
from shared.settings import settings, use
from shared.storage import document_key
from shared.tables import OPEN_STATES, Job
from tasks.aggregate import aggregate
from tasks.node import events, ledger, storage
from tasks.registry import parse_document, parse_options, select

POLL_SECONDS = 0.5
OVERDUE_SECONDS = 15.0


@click.command()
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reelgraph-results"),
    show_default=True,
    help="Folder for the results; each video gets a folder of its own in it.",
)
@click.option("--analyzers", "names", metavar="A,B", help="Run these and what they require. Default: all.")
@click.option("--option", "given", multiple=True, metavar="NAME.KEY=VALUE", help="Set an analyzer's option.")
@click.option("--profile", help="Models and workers: local (CPU) or gpu.  [default: local]")
@click.option(
    "--deadline",
    "deadline_seconds",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Close each job by then with what there is. Default: by the video's length.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder: ledger, results of earlier runs, frame store.",
)
@click.option(
    "--server",
    metavar="URL",
    help="Let the service there analyze; videos may be addresses, too. Its key, if it asks for one: REELGRAPH_API_KEY.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the documents to standard output, one a line.")
def analyze(  # noqa: PLR0913, PLR0917  (one argument an option)
    videos: tuple[str, ...],
    out: Path,
    names: str | None,
    given: tuple[str, ...],
    profile: str | None,
    deadline_seconds: float | None,
    data: Path | None,
    server: str | None,
    as_json: bool,  # noqa: FBT001  (click passes options by name)
) -> int:
    """Analyze videos: every analyzer looks at each one side by side.

    Each video gets a folder in --out with result.json (the document) and report.html. What an earlier run in the same
    data folder has found already is not computed again.

    \b
    Examples:
      reelgraph analyze reel.mp4
      reelgraph analyze *.mp4 --analyzers cut_analysis,text_overlay --out results
      reelgraph analyze talk.mp4 --option object_detection.threshold=0.6
      reelgraph analyze reel.mp4 --server http://127.0.0.1:8000
    """  # noqa: D301  (click's own mark for a paragraph that is not wrapped)
    requested = [name.strip() for name in names.split(",") if name.strip()] if names is not None else []
    if names is not None and not requested:
        raise BadInput(f"--analyzers {names!r} names no analyzer; leave it out for all of them", code="bad_option")
    if deadline_seconds is not None and not math.isfinite(deadline_seconds):
        raise BadInput(f"--deadline {deadline_seconds} is no number of seconds", code="bad_option")
    if server is not None:
        if profile or data:
            raise BadInput("--profile and --data are the service's own: not with --server", code="bad_option")
        _refuse_unreadable([video for video in videos if not is_address(video)])
        wishes = Wishes(analyzers=requested, options=split_options(given), deadline_seconds=deadline_seconds)
        with interruptible():
            return run_remotely(server, videos, out, wishes, as_json=as_json)
    changed = {"profile": profile, "data_dir": data.absolute() if data else None}
    use(settings().model_copy(update={key: value for key, value in changed.items() if value is not None}))
    workers(settings().profile)  # refuses a profile that does not exist
    chosen = select(requested or None)
    options = parse_options(split_options(given))
    _refuse_unreadable(videos)
    groups = {one.group for one in chosen}
    return run([Path(video) for video in videos], out, requested, options, groups, deadline_seconds, as_json=as_json)


def _refuse_unreadable(videos: Sequence[str]) -> None:
    for video in videos:
        if not video:  # a Path would make it the current folder
            raise BadInput("the path of a video is empty", code="not_found")
        if is_address(video):
            raise BadInput(f"{video}: addresses are fetched by a service; name one with --server", code="bad_option")
        probe(Path(video))


def run(
    videos: Sequence[Path],
    out: Path,
    requested: Sequence[str] = (),
    options: Mapping[str, Mapping[str, OptionValue]] | None = None,
    groups: set[str] | None = None,
    deadline_seconds: float | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Analyze videos with workers of this command's own; the command's exit code."""
    worst = COMPLETED
    configure_logging("ERROR")  # the display says the rest
    out.mkdir(parents=True, exist_ok=True)
    with interruptible(), display() as screen:
        screen.say("starting broker and workers")
        with local_stack(groups) as stack:
            jobs: list[Job] = []
            try:
                for number, (video, folder) in enumerate(zip(videos, folders_of(videos, out), strict=True)):
                    # the next one keeps the workers busy; more would wait on the clock of their deadlines
                    for waiting in videos[len(jobs) : number + 2]:
                        jobs.append(  # noqa: PERF401  (what was accepted is known when the next one fails)
                            accept(waiting, analyzers=requested, options=options, deadline_seconds=deadline_seconds)
                        )
                    document = follow(jobs[number], video, stack, screen)
                    left = unwritten(document, folder, partial(stored_picture, document))
                    screen.close(document, folder, left)
                    if left is not None:
                        worst = max(worst, INFRASTRUCTURE)
                    if as_json:
                        click.echo(document.model_dump_json())
                    worst = max(worst, COMPLETED if document.job.state == "completed" else WITH_ERRORS)
            except BaseException:
                stack.kill()
                _abandon(jobs)
                raise
    return worst


def follow(job: Job, video: Path, stack: Stack, screen: Display) -> Document:
    """Show a job's events until it has ended; its document."""
    screen.open(job.id, video)
    seen = "0"
    asked_at = 0.0
    while True:
        try:
            for event_id, event in events().read(job.id, seen, block_seconds=POLL_SECONDS):
                seen = event_id
                screen.show(event)
        except redis.RedisError as error:
            raise Infrastructure(f"the broker is gone: {error}", code="broker_unreachable") from error
        stack.check()
        if time.monotonic() - asked_at >= POLL_SECONDS:
            asked_at = time.monotonic()
            if ledger().job(job.id).state not in OPEN_STATES:
                break
            if job.remaining_seconds < -OVERDUE_SECONDS:
                aggregate(job.id)
    return parse_document(storage().read(document_key(job.id)))


def split_options(given: Sequence[str]) -> dict[str, dict[str, object]]:
    """`name.key=value` texts by analyzer. Raises BadInput for a text of another form."""
    split: dict[str, dict[str, object]] = {}
    for text in given:
        path, equals, value = text.partition("=")
        name, dot, key = path.partition(".")
        if not (name and dot and key and equals):
            raise BadInput(f"--option {text!r} does not have the form NAME.KEY=VALUE", code="bad_option")
        split.setdefault(name, {})[key] = value
    return split


def _abandon(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if ledger().cancel(job.id):
            aggregate(job.id)
