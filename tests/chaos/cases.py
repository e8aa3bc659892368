"""What is broken, case by case. Each function breaks a running site under load and says what must hold differently.

A case takes a site and a load that has just been handed in; what it returns are sentences about what does not hold
beyond what is asked of every case: all jobs end, once, by their deadline, with everything that could be computed.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from shared.errors import Infrastructure
from shared.groups import worker_of
from shared.ledger import OPEN_STATES
from shared.settings import settings
from tasks.node import frame_store, ledger
from tests.chaos.load import ANALYZERS, Load, breaks, clip, digests, hand_in, wait_all
from tests.chaos.site import Site
from tests.support.processes import eventually

Break = Callable[[Site, Load], "list[str] | None"]


class Skip(Exception):
    """This machine cannot do that; the sentence says why."""


@dataclass(frozen=True)
class Case:
    """One way to break a site."""

    name: str
    must: str
    """What must hold, beyond what is asked of all cases."""
    run: Break
    short: bool = False
    jobs: int = 8
    behaviour: dict[str, object] | None = None
    analyzers: tuple[str, ...] = ANALYZERS
    events_kept: bool = True
    recovery_seconds: float = 90.0
    """The last job must have ended so long after the fault was over."""


def child_dies(number: signal.Signals) -> Break:
    """Kill pool processes three times at random moments."""

    def case(site: Site, load: Load) -> None:
        for _ in range(3):
            site.after(0.3, 2.0)
            breaks(load)
            site.signal_child(site.any_worker(), number)

    return case


def worker_killed(site: Site, load: Load) -> None:
    """Kill a worker as a whole, twice."""
    for _ in range(2):
        site.after(0.3, 2.5)
        breaks(load)
        site.signal(site.any_worker(), signal.SIGKILL, children=True)


def worker_terminated(site: Site, load: Load) -> None:
    """Tell a worker to stop, as Kubernetes does."""
    site.after(0.3, 2.5)
    breaks(load)
    site.signal(site.any_worker(), signal.SIGQUIT)


def worker_frozen(site: Site, load: Load) -> list[str]:
    """Stop a worker that holds a run, parent and child, for 30 s; then let it go on, when its run is another's."""
    worker = holder(site)
    breaks(load)
    site.signal(worker, signal.SIGSTOP, children=True)
    time.sleep(30)
    wait_all(load, 60)
    before = digests(site, load)
    site.signal(worker, signal.SIGCONT, children=True)
    time.sleep(8)
    return [] if digests(site, load) == before else ["a document changed after its job had ended"]


def holder(site: Site) -> object:
    """The worker that holds some run now."""

    def find() -> list[str]:
        return [worker_of(str(run.holder)) for run, _ in ledger().held()]

    assert eventually(lambda: bool(find()), 60)
    return site.worker(find()[0])


def broker_killed(site: Site, load: Load) -> None:
    """SIGKILL the broker and start it again over its append-only file."""
    site.after(0.3, 2.0)
    breaks(load)
    site.valkey.kill()
    time.sleep(3)
    site.valkey.restart()


def broker_wiped(site: Site, load: Load) -> None:
    """Delete everything that the broker holds."""
    site.after(0.3, 2.0)
    breaks(load)
    site.valkey.client().flushall()


def broker_cut_off(site: Site, load: Load) -> None:
    """Let no byte through between everybody and the broker for 20 s."""
    site.after(0.3, 1.5)
    breaks(load)
    site.proxy.cut()
    time.sleep(20)
    site.proxy.heal()


def control_killed_before_aggregate(site: Site, load: Load) -> list[str]:
    """Freeze the control worker until every outcome is there, then kill it: nobody has aggregated."""

    def queued() -> bool:
        plans = [ledger().runs(job).values() for job in load.jobs]
        return all(runs and all(run.queued_at or run.status for run in runs) for runs in plans)

    assert eventually(queued, 90)
    time.sleep(1)  # from the ledger's note to the broker
    control = site.worker("control")
    with site.unattended():
        site.signal(control, signal.SIGSTOP, children=True)
        done = eventually(lambda: all(run.status for job in load.jobs for run in ledger().runs(job).values()), 90)
        breaks(load)
        site.signal(control, signal.SIGKILL, children=True)
    return [] if done else ["not all outcomes came while the control worker stood still"]


def control_killed_in_aggregate(site: Site, load: Load) -> list[str]:
    """Kill the process that aggregates between the document and the ledger."""
    mark = site.scratch / "kill-in-finish"
    breaks(load)
    mark.touch()
    return [] if eventually(lambda: not mark.exists(), 90) else ["nobody aggregated"]


def everything_delivered_twice(site: Site, load: Load) -> list[str]:
    """Put every message that is queued into its queue once more, from now on."""
    stop, copied = threading.Event(), [0]

    def copy() -> None:
        client, known = site.valkey.client(), set()
        with client.monitor() as monitor:
            while not stop.is_set():
                with suppress(redis.TimeoutError):
                    copied[0] += _copy(client, monitor.next_command()["command"], known)

    copying = threading.Thread(target=copy, daemon=True)
    copying.start()
    breaks(load)
    more = [hand_in(site, clip(site, 90 + number), ANALYZERS, {}) for number in range(4)]
    load.jobs += more
    wait_all(load, 90)
    stop.set()
    return [] if copied[0] >= 4 * len(ANALYZERS) else [f"only {copied[0]} messages were copied"]


def _copy(client: redis.Redis, command: str, known: set[str]) -> bool:
    """Send a queued message again under another delivery tag; whether this was one that had not been copied."""
    verb, _, rest = command.partition(" ")
    key, _, text = rest.partition(" ")
    if verb.upper() != "LPUSH" or key.partition(":")[0] not in ("control", "light", "detect"):
        return False
    try:
        message = json.loads(text)
    except ValueError:
        return False
    if message["headers"].get("copy") or message["properties"]["delivery_tag"] in known:
        return False
    known.add(message["properties"]["delivery_tag"])
    message["headers"]["copy"] = True
    message["properties"]["delivery_tag"] += "-copy"
    client.lpush(key, json.dumps(message))
    return True


def ledger_locked(site: Site, load: Load) -> None:
    """Hold the ledger's write lock for 10 s."""
    site.after(0.3, 2.0)
    breaks(load)
    with closing(sqlite3.connect(settings().data_dir / "ledger.sqlite3", timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(10)
        other.execute("ROLLBACK")


def disk_full(site: Site, load: Load) -> list[str]:
    """Fill the frame store's disk while jobs decode, then empty it: who could not decode says so, and the next can."""
    frames = settings().frames_folder
    if not os.path.ismount(frames):
        raise Skip("a disk of its own for the frame store takes root")
    breaks(load)
    frame_store().sweep(lambda _: False)  # else old frames make room for new ones
    ballast = frames / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    full = [hand_in(site, clip(site, 90 + number), ANALYZERS, {}) for number in range(2)]
    wait_all(Load(jobs=full), 90)
    ballast.unlink(missing_ok=True)
    wrong = []
    for job in full:
        for name, run in ledger().runs(job).items():
            ending = (run.status, run.outcome.error.code if run.outcome.error else "") if run.status else (None, "")
            if ending not in (("failed", "disk_full"), ("skipped", "missing_input")):
                wrong.append(f"{job}: {name} ended {ending} on a full disk")
        half = [path for path in (frames / ledger().job(job).video_sha256).rglob("*.npy") if path.is_file()]
        wrong += [f"{job}: {path.name} was left on the full disk" for path in half]
    for job in load.jobs:  # those under way may have met the full disk, too
        for name, run in ledger().runs(job).items():
            if run.status == "failed" and run.outcome.error and run.outcome.error.code == "disk_full":
                load.expected.setdefault(job, {})[name] = ("failed", "disk_full")
            elif run.status == "skipped":
                load.expected.setdefault(job, {})[name] = ("skipped", "missing_input")
    load.jobs.append(hand_in(site, clip(site, 99), ANALYZERS, {}))
    return wrong


def api_killed(site: Site, load: Load) -> list[str]:
    """Kill the API in the middle of an upload and of a stream of events; both go on where they were."""
    video = clip(site, 90).read_bytes()
    half, tus = len(video) // 2, {"Tus_Resumable": "1.0.0"}
    name = base64.b64encode(b"clip.mp4").decode()
    begun = site.client.call(
        "POST", "/v1/uploads", Upload_Length=str(len(video)), Upload_Metadata=f"filename {name}", **tus
    )
    place = begun.headers["location"]
    where = place[place.index("/v1/") :]
    chunk = {"Content_Type": "application/offset+octet-stream", **tus}
    site.client.call("PATCH", where, video[:half], Upload_Offset="0", **chunk)
    following = site.client.follow(load.jobs[0])
    seen = [next(following)]
    breaks(load)
    site.kill_api()
    with suppress(OSError, StopIteration, ValueError):
        seen += list(following)
    assert eventually(site._answers, 60)
    offset = int(site.client.call("HEAD", where, **tus).headers["upload-offset"])
    site.client.call("PATCH", where, video[offset:], Upload_Offset=str(offset), **chunk)
    answer = site.client.post_json("/v1/jobs", {"upload": where.rpartition("/")[2], "analyzers": list(ANALYZERS)})
    if answer.status != 202:
        return [f"the upload of before could not be handed in: {answer.body!r}"]
    load.jobs.append(answer.json["id"])
    last = next((one["id"] for one in reversed(seen) if "id" in one), "")
    rest = list(site.client.follow(load.jobs[0], after=last))
    ids = [one["id"] for one in (*seen, *rest) if "id" in one]
    wrong = [] if len(ids) == len(set(ids)) else ["an event was sent twice to a follower that reconnected"]
    closed = [one for one in (*seen, *rest) if one.get("event") in ("closed", "snapshot")]
    return wrong if closed else [*wrong, "the follower never learned that its job had ended"]


def preload_broken(site: Site, load: Load) -> list[str]:
    """Start a worker that cannot load, one that hangs and one that is slow: they take nothing before they are ready."""
    breaks(load)
    doomed = {"failing": {"REELGRAPH_PROBE_LOAD_END": "exit"}, "hanging": {"REELGRAPH_PROBE_LOAD_SECONDS": "9999"}}
    doomed["slow"] = {"REELGRAPH_PROBE_LOAD_SECONDS": "10"}
    before, wrong = dict(os.environ), []
    started = {}
    for name, environment in doomed.items():
        os.environ.update(environment)
        given = site.stack.settings
        patience = 5.0 if name == "hanging" else given.preload_seconds
        site.stack.settings = given.model_copy(update={"preload_seconds": patience})
        started[name] = site.stack.start_worker(name, ("light", "detect"))
        site.stack.workers.remove(started[name])
        site.stack.settings = given
        os.environ.clear()
        os.environ.update(before)
    wait_all(load, 90)
    ended = eventually(lambda: all(started[name].process.poll() is not None for name in ("failing", "hanging")), 60)
    if not ended:
        wrong.append("a worker that cannot load still runs")
    for one in started.values():
        one.process.stop()
    took = {str(run.outcome.receipt.worker) for job in load.jobs for run in ledger().runs(job).values() if run.report}
    return wrong + [
        f"the {name} worker took work" for name in ("failing", "hanging") if any(name in one for one in took)
    ]


def clock_stepped(site: Site, load: Load) -> list[str]:
    """Step the clock of every new worker process by an hour while jobs run."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime*.so.1"))), None)
    if library is None:
        raise Skip("libfaketime is not installed; get it with: apt-get install faketime")
    raise Skip("no case is written for it yet")


def poison(site: Site, load: Load) -> None:
    """Hand in a video that kills whatever looks at it with one analyzer, among others that do not."""
    token = site.scratch / f"poison-{site.rng.randrange(1 << 30)}"
    options: dict[str, dict[str, object]] = {"misbehaving": {"kill": int(signal.SIGSEGV), "token": str(token)}}
    breaks(load)
    job = hand_in(site, clip(site, 90), ANALYZERS, options)
    load.jobs.append(job)
    load.expected[job] = {"misbehaving": ("failed", "worker_died"), "dependent": ("skipped", "missing_input")}


def poison_is_named(site: Site, load: Load) -> list[str]:
    """As `poison`; and the outcome names the signal, after three attempts."""
    poison(site, load)
    wait_all(load, 120)
    report = ledger().run(load.jobs[-1], "misbehaving").outcome
    is_named = report.error is not None and "SIGSEGV" in report.error.message and report.receipt.attempts == 3
    return [] if is_named else [f"the poison's outcome is {report.error}, attempts {report.receipt.attempts}"]


def weights_deleted(site: Site, load: Load) -> list[str]:
    """Delete all model files under running workers: who has loaded goes on; a new process says what is missing."""
    raise Skip("no case is written for it yet")


MIXABLE: tuple[Break, ...] = (
    child_dies(signal.SIGKILL),
    child_dies(signal.SIGSEGV),
    worker_killed,
    worker_terminated,
    broker_killed,
    broker_wiped,
    ledger_locked,
    poison,
)


def mixed(seconds: float) -> Break:
    """One fault after the other, at random, with new jobs all the time."""

    def case(site: Site, load: Load) -> None:
        give_up = time.monotonic() + seconds
        number = 100
        while time.monotonic() < give_up:
            with suppress(AssertionError, Infrastructure):
                site.rng.choice(MIXABLE)(site, load)
            waiting = sum(ledger().job(job).state in OPEN_STATES for job in load.jobs)
            while waiting < 8:
                number, waiting = number + 1, waiting + 1
                load.jobs.append(hand_in(site, clip(site, number), ANALYZERS, {}))

    return case


CASES = (
    Case("nothing", "the measure for the others", lambda site, load: breaks(load), short=True),
    Case("child SIGKILL", "", child_dies(signal.SIGKILL), short=True),
    Case("child SIGSEGV", "", child_dies(signal.SIGSEGV)),
    Case("worker SIGKILL", "", worker_killed, short=True),
    Case("worker SIGTERM", "", worker_terminated),
    Case("worker SIGSTOP 30 s", "the zombie overwrites nothing", worker_frozen, behaviour={"sleep": 6.0}),
    Case("broker SIGKILL", "with its append-only file", broker_killed),
    Case("broker wiped", "", broker_wiped, short=True, events_kept=False),
    Case("broker cut off 20 s", "", broker_cut_off),
    Case(
        "control before aggregate",
        "outcomes are not made again",
        control_killed_before_aggregate,
        analyzers=("misbehaving", "color_analysis", "audio_analysis"),
        jobs=4,
    ),
    Case("control in aggregate", "one document", control_killed_in_aggregate),
    Case("delivered twice", "every run starts once", everything_delivered_twice, short=True, jobs=4),
    Case("ledger locked 10 s", "", ledger_locked),
    Case("disk full", "who cannot decode says so", disk_full),
    Case("API SIGKILL", "uploads and events go on", api_killed),
    Case("preload broken", "nobody works without models", preload_broken),
    Case("clock +1 h", "nothing ends early", clock_stepped),
    Case("poison video", "three attempts, the signal's name", poison_is_named, short=True),
    Case("weights deleted", "what is loaded works on", weights_deleted),
)


def mount_small(folder: Path, megabytes: int) -> bool:
    """Mount a small disk; whether that is allowed here."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
