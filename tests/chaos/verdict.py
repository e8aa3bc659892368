"""What must hold of jobs after a fault, looked at from outside: documents, the ledger, the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shared.events import Event
from shared.tables import OPEN_STATES, Job, Run
from tasks.node import events, ledger
from tasks.registry import track_types
from tests.chaos.load import ANALYZERS, Load
from tests.chaos.site import Site
from tests.support.processes import eventually

FRAMES = {"misbehaving/frames": 4, "dependent/frames": 4}
"""What the counting analyzers find in two seconds at two frames a second."""
TICK_SECONDS = 5.0
"""How often the reconciler looks."""
CLOSE_SECONDS = 3.0
"""From its tick to the end of the job: a message, and a document to write."""
TOLD_SECONDS = 10.0
"""An end is told after it is in the ledger."""


def problems(site: Site, load: Load, *, events_kept: bool = True, handed_on: bool = False) -> list[str]:
    """What does not hold, in sentences; nothing when all is well.

    Args:
        events_kept: nothing could lose an event, so that every one is there; else none is there twice.
        handed_on: a run may have begun again although no process died in it.
    """
    found = []
    for job in load.jobs:
        found += _of_job(site, load, job)
        runs = ledger().runs(job)
        found += begun_again(runs, handed_on=handed_on)
        found += wrongly_told(runs, _events(job, wait=events_kept), events_kept=events_kept)
    found += [f"{job} ended after its deadline" for job in load.jobs if job not in load.untimed and is_late(job)]
    for (job, name), report in load.ended_before.items():
        if ledger().run(job, name).report != report:
            found.append(f"{job}: {name} had ended before the fault and was done again")
    return found


def is_late(job_id: str) -> bool:
    """Whether a job ended later than the first look of the reconciler after its deadline."""
    job: Job = ledger().job(job_id)
    return job.finished_at is None or job.finished_at > job.deadline_at + TICK_SECONDS + CLOSE_SECONDS


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
    return found + [f"{job}: {line}" for line in wrong_values(document)]


def wrong_values(document: Mapping[str, Any]) -> list[str]:
    """Tracks that an analyzer which is ok must have brought and has not, or whose value is another."""
    there = {track["id"]: track for track in document["tracks"]}
    is_ok = {one["name"] for one in document["analyzers"] if one["status"] == "ok"}
    wanted = [track for track in (*FRAMES, *track_types()) if track.partition("/")[0] in is_ok]
    found = [f"{track} is missing under an analyzer that is ok" for track in wanted if track not in there]
    for track in FRAMES.keys() & there.keys():
        values = [item["value"] for item in there[track]["items"]]
        if values != [FRAMES[track]]:
            found.append(f"{track} holds {values}, not {FRAMES[track]}")
    return found


def begun_again(runs: Mapping[str, Run], *, handed_on: bool) -> list[str]:
    """Runs that were begun again with no process dead in them."""
    return [
        f"{run.job_id}: {name} was begun {run.attempts} times, and {run.deaths} processes died in it"
        for name, run in runs.items()
        if run.attempts > 1 + run.deaths and not handed_on
    ]


def wrongly_told(runs: Mapping[str, Run], heard: Sequence[Event], *, events_kept: bool) -> list[str]:
    """Ends told twice, or not at all though nothing loses events; beginnings that the ledger did not count."""
    told = Counter((event.type, event.analyzer) for event in heard)
    job = next((run.job_id for run in runs.values()), "a job without runs")
    ends = [("closed", None), *(("finished", name) for name in runs)]
    # what the deadline ends is told by the end of the job alone
    at_deadline = {
        name for name, run in runs.items() if ((run.report or {}).get("error") or {}).get("code") == "deadline"
    }
    found = [
        f"{job}: {kind} of {name or 'the job'} was told {told[kind, name]} times"
        for kind, name in ends
        if told[kind, name] > 1 or (events_kept and not told[kind, name] and name not in at_deadline)
    ]
    for name, run in runs.items():
        if told["started", name] > run.attempts or (events_kept and told["started", name] < run.attempts):
            found.append(f"{job}: {name} told {told['started', name]} beginnings, the ledger counts {run.attempts}")
    return found


def _events(job: str, *, wait: bool) -> list[Event]:
    """All events of a job; `wait`: until it tells its end, for a while."""
    heard, last = list[Event](), "0"

    def read() -> bool:
        nonlocal last
        while page := list(events().read(job, last, block_seconds=0.01)):
            heard.extend(event for _, event in page)
            last = page[-1][0]
        return not wait or any(event.type == "closed" for event in heard)

    eventually(read, TOLD_SECONDS)
    return heard
