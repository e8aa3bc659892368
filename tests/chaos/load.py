"""Jobs under way while something breaks, and what was known of them before."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.tables import OPEN_STATES
from tasks.node import ledger
from tests.chaos.site import DEADLINE_SECONDS, Site
from tests.support.clips import click, make_clip
from tests.support.moving import texture

ANALYZERS = ("misbehaving", "dependent", "color_analysis", "cut_analysis", "audio_analysis")


@dataclass
class Load:
    """Some jobs, and what was known of them before the fault."""

    jobs: list[str] = field(default_factory=list)
    ended_before: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    expected: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """By job and analyzer: another status than ok, and its error's code."""
    untimed: set[str] = field(default_factory=set)
    """Jobs under a clock that was set: the times in the ledger say nothing of them."""
    over_at: float | None = None
    """When the fault was over, by the monotonic clock."""
    ended_at: float = 0.0
    """When the last job was seen to have ended."""

    def over(self) -> None:
        """Note that the fault is over now: from here on the time to recovery is counted."""
        self.over_at = time.monotonic()

    def absorb(self, other: Load) -> None:
        """Take the jobs of another load, and what is known of them."""
        self.jobs += other.jobs
        self.ended_before |= other.ended_before
        self.expected |= other.expected
        self.untimed |= other.untimed


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


def hand_in(
    site: Site,
    video: Path,
    analyzers: tuple[str, ...] = ANALYZERS,
    options: dict[str, dict[str, object]] | None = None,
    *,
    priority: int = 5,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> str:
    """One job by the API; its id."""
    named = {"analyzers": ",".join(analyzers), "options": json.dumps(options or {}), "priority": str(priority)}
    answer = site.client.hand_in(video, **named, deadline_seconds=str(deadline_seconds))
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def breaks(load: Load) -> None:
    """Note what has ended until now: none of it may be lost or done again."""
    for job in load.jobs:
        for name, run in ledger().runs(job).items():
            if run.status is not None and run.report is not None:
                load.ended_before[job, name] = run.report


def wait_all(load: Load, seconds: float) -> None:
    """Wait until all jobs have ended, or for so long."""
    give_up, waited = time.monotonic() + seconds, False
    while any(ledger().job(job).state in OPEN_STATES for job in load.jobs) and time.monotonic() < give_up:
        waited = True
        time.sleep(0.1)
    if waited or not load.ended_at:
        load.ended_at = time.monotonic()


def digests(site: Site, load: Load) -> dict[str, str]:
    """The sha256 of every document: none may change once its job has ended."""
    return {job: hashlib.sha256(site.client.get(f"/v1/jobs/{job}/result").body).hexdigest() for job in load.jobs}
