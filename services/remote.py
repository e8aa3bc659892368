"""`reelgraph analyze --server`: the videos are analysed by a service; what is shown and written is the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from services.api.answers import JobView, Snapshot
from services.cli import COMPLETED, INFRASTRUCTURE, WITH_ERRORS
from services.client import Client, Wishes
from services.display import Display, display
from services.results import THUMBNAIL_WIDTH, folders_of, unwritten
from shared.errors import ReelgraphError, Unauthenticated
from shared.events import Event
from shared.log import configure_logging
from shared.schema import Document, track_length
from shared.settings import settings

AHEAD = 2
"""Videos handed in at once: the next one keeps the workers busy; more would wait on the clock of their deadlines."""

OVERDUE_SECONDS = 60.0
CANCEL_SECONDS = 5.0


def is_address(video: str) -> bool:
    """Whether a video is named by an address, which the service fetches itself."""
    return video.lower().startswith(("http://", "https://"))


def run_remotely(url: str, videos: Sequence[str], out: Path, wishes: Wishes, *, as_json: bool) -> int:
    """Have videos analysed by the service at `url`; the command's exit code. What breaks it off cancels the open jobs.

    Raises:
        ReelgraphError: whatever `Client` raises.
    """
    worst = COMPLETED
    configure_logging("ERROR")  # the display says the rest
    out.mkdir(parents=True, exist_ok=True)
    named = [_path(video) for video in videos]
    with display() as screen, Client(url, key=settings().api_key) as client:
        _check_key(client)  # before a long upload
        jobs: list[JobView] = []
        try:
            for number, folder in enumerate(folders_of(named, out)):
                for waiting in videos[len(jobs) : number + AHEAD]:
                    screen.say(f"sending {waiting}")
                    jobs.append(client.submit(waiting if is_address(waiting) else Path(waiting), wishes))
                document = _follow(client, jobs[number], named[number], screen)
                left = unwritten(document, folder, partial(_picture, client, document))
                screen.close(document, folder, left)
                if left is not None:
                    worst = max(worst, INFRASTRUCTURE)
                if as_json:
                    click.echo(document.model_dump_json())
                worst = max(worst, COMPLETED if document.job.state == "completed" else WITH_ERRORS)
        except BaseException:
            _abandon(client, jobs)
            raise
    return worst


def _check_key(client: Client) -> None:
    """Raises Unauthenticated with what to do about it on this side."""
    try:
        client.check()
    except Unauthenticated as error:
        todo = (
            "it refuses the key in REELGRAPH_API_KEY" if settings().api_key else "set REELGRAPH_API_KEY to a key of it"
        )
        raise Unauthenticated(f"{client.url} needs an API key: {todo}", code=error.code) from error


def _path(video: str) -> Path:
    """What a folder and a heading are named after."""
    return Path(unquote(urlsplit(video).path) or "video") if is_address(video) else Path(video)


def _follow(client: Client, job: JobView, video: Path, screen: Display) -> Document:
    """Show a job's events until it has ended; its document."""
    screen.open(job.id, video)
    given = datetime.fromisoformat(job.deadline_at) - datetime.fromisoformat(job.submitted_at)
    for told in client.events(job.id, seconds=given.total_seconds() + OVERDUE_SECONDS):
        if isinstance(told.what, Snapshot):
            _catch_up(client, told.what.job, screen)
        else:
            screen.show(told.what)
    return client.result(job.id)


def _catch_up(client: Client, job: JobView, screen: Display) -> None:
    """Show how a job stands where its events were lost."""
    screen.show(Event(type="planned", analyzers=tuple(one.name for one in job.analyzers)))
    for one in job.analyzers:
        if one.status == "running":
            screen.show(Event(type="started", analyzer=one.name))
        elif one.status != "queued":
            outcome = client.outcome(job.id, one.name)
            items = sum(map(track_length, outcome.tracks))
            screen.show(Event(type="finished", analyzer=one.name, report=outcome.report, items=items))


def _picture(client: Client, document: Document, t: float) -> bytes | None:
    return client.frame(document.job.id, t, width=THUMBNAIL_WIDTH) if document.media.has_video else None


def _abandon(client: Client, jobs: Sequence[JobView]) -> None:
    for job in jobs:
        with suppress(ReelgraphError):  # what went wrong first is what is told
            client.cancel(job.id, seconds=CANCEL_SECONDS)
