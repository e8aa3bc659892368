"""Jobs under way while something breaks, and what must hold of them, looked at from outside."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.tables import OPEN_STATES, Job
from tasks.node import events, ledger
from tests.chaos.site import DEADLINE_SECONDS, Site
from tests.support.clips import click, make_clip
from tests.support.moving import texture

ANALYZERS = ("misbehaving", "dependent", "color_analysis", "cut_analysis", "audio_analysis")
FRAMES = {"misbehaving/frames": 4, "dependent/frames": 4}
"""What the counting analyzers find in two seconds at two frames a second."""


@dataclass
class Load:
    """Some jobs, and what was known of them before the fault."""

    jobs: list[str] = field(default_factory=list)
    ended_before: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    expected: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """By job and analyzer: another status than ok, and its error's code."""
    broke_at: float = 0.0
    ended_at: float = 0.0


def clip(site: Site, number: int) -> Path:
    """Two seconds with sound; every one has other pictures, so nothing is in the cache."""
    picture = texture(site.rng.randrange(1 << 30), 120, 160)
    path = site.scratch / f"clip-{number}-{site.rng.randrange(1 << 30)}.mp4"
    return make_clip(path, frames=60, fps=30, picture=lambda *_: picture, sound=click(2.0, [0.5, 1.5]))


def begin(site: Site, jobs: int = 8, *, analyzers: tuple[str, ...] = ANALYZERS, **behaviour: object) -> Load:
    """Hand in jobs through the API; each works for about a second in one of its analyzers."""
    load = Load()
    for number in range(jobs):
        options = {"misbehaving": {"sleep": round(site.rng.uniform(0.5, 1.5), 2), **behaviour}}
        load.jobs.append(hand_in(site, clip(site, number), analyzers, options))
    return load


def hand_in(site: Site, video: Path, analyzers: tuple[str, ...], options: dict[str, dict[str, object]]) -> str:
    """One job by the API; its id."""
    named = {"analyzers": ",".join(analyzers), "options": json.dumps(options)}
    answer = site.client.hand_in(video, **named, deadline_seconds=str(DEADLINE_SECONDS))
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def breaks(load: Load) -> None:
    """Note what has ended until now: none of it may be lost or done again."""
    for job in load.jobs:
        for name, run in ledger().runs(job).items():
            if run.status is not None and run.report is not None:
                load.ended_before[job, name] = run.report
    load.broke_at = time.monotonic()


def wait_all(load: Load, seconds: float) -> None:
    """Wait until all jobs have ended, or for so long."""
    give_up = time.monotonic() + seconds
    while any(ledger().job(job).state in OPEN_STATES for job in load.jobs) and time.monotonic() < give_up:
        time.sleep(0.1)
    load.ended_at = time.monotonic()


def problems(site: Site, load: Load, *, events_kept: bool = True, clock_kept: bool = True) -> list[str]:
    """What does not hold, in sentences; nothing when all is well."""
    found = [line for job in load.jobs for line in _of_job(site, load, job)]
    found += [f"{job} ended after its deadline" for job in load.jobs if clock_kept and _is_late(ledger().job(job))]
    if events_kept:
        found += [line for job in load.jobs for line in _told_twice(job)]
    for (job, name), report in load.ended_before.items():
        if ledger().run(job, name).report != report:
            found.append(f"{job}: {name} had ended before the fault and was done again")
    return found


def digests(site: Site, load: Load) -> dict[str, str]:
    """The sha256 of every document: none may change once its job has ended."""
    return {job: hashlib.sha256(site.client.get(f"/v1/jobs/{job}/result").body).hexdigest() for job in load.jobs}


def _of_job(site: Site, load: Load, job: str) -> list[str]:
    row = ledger().job(job)
    if row.state in OPEN_STATES:
        open_runs = [name for name, run in ledger().runs(job).items() if run.status is None]
        return [f"{job} has not ended: {row.state}, level {row.level}, open: {', '.join(open_runs) or 'none'}"]
    answer = site.client.get(f"/v1/jobs/{job}/result")
    if answer.status != 200:
        return [f"{job} has ended as {row.state} and its document is not there: HTTP {answer.status}"]
    document = answer.json
    found = []
    names = Counter(one["name"] for one in document["analyzers"])
    if missing := [name for name in ANALYZERS if name in row.requested and names[name] != 1]:
        found.append(f"{job}: {', '.join(missing)} not exactly once in the document")
    wanted = load.expected.get(job, {})
    for one in document["analyzers"]:
        ending = (one["status"], one["error"]["code"] if one["error"] else "")
        if ending != wanted.get(one["name"], ("ok", "")):
            found.append(f"{job}: {one['name']} ended {ending}: {one['error']}")
    found += [f"{job}: {line}" for line in _wrong_values(document)]
    return found


def _is_late(job: Job) -> bool:
    return job.finished_at is None or job.finished_at > job.deadline_at + 10


def _wrong_values(document: dict[str, Any]) -> list[str]:
    return [
        f"{track['id']} holds {track['items'][0]['value']}, not {FRAMES[track['id']]}"
        for track in document["tracks"]
        if track["id"] in FRAMES and track["items"][0]["value"] != FRAMES[track["id"]]
    ]


def _told_twice(job: str) -> list[str]:
    told = Counter((event.type, event.analyzer) for _, event in events().read(job, block_seconds=0.01))
    return [
        f"{job}: {kind} of {name or 'the job'} was told {times} times"
        for (kind, name), times in told.items()
        if kind in ("finished", "closed") and times > 1
    ]
