"""A broker that dies, forgets, cannot be reached, or delivers twice."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import redis

from tasks.node import ledger
from tasks.registry import task_name
from tests.chaos.case import Skip
from tests.chaos.load import ANALYZERS, Load, breaks, clip, digests, hand_in, wait_all
from tests.chaos.network import BROKER
from tests.chaos.site import REMOTE, Site
from tests.support.processes import eventually


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
    site.net.cut(BROKER)
    time.sleep(20)
    site.net.heal(BROKER)


def worker_cut_off(site: Site, load: Load) -> list[str]:
    """Cut one worker off from the broker for 20 s, while it holds a run: what it does there counts once."""
    if REMOTE not in site.net.hosts:
        raise Skip("network namespaces take root on Linux, with ip(8)")
    assert eventually(lambda: _is_apart(site.worker(REMOTE).process.pid), 60), f"{REMOTE} is on no network of its own"
    site.holder(REMOTE)
    breaks(load)
    site.net.cut(REMOTE)
    load.over()  # what it held, and what it would have taken, waits from here on
    heals = time.monotonic() + 20
    wait_all(load, 80)
    time.sleep(max(0.0, heals - time.monotonic()))
    before = digests(site, load)
    site.net.heal(REMOTE)
    time.sleep(8)
    return [] if digests(site, load) == before else ["a document changed after its job had ended"]


def _is_apart(pid: int) -> bool:
    """Whether a process is in another network namespace than this one."""
    with suppress(FileNotFoundError):  # it is being started again
        return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    return False


def everything_delivered_twice(site: Site, load: Load) -> list[str]:
    """Put every message that is queued into its queue once more, from now on: at least one of every kind of task."""
    stop, copied = threading.Event(), Counter[str]()

    def copy() -> None:
        client, known = site.valkey.client(), set[str]()
        with client.monitor() as monitor:
            while not stop.is_set():
                with suppress(redis.TimeoutError):
                    copied.update(_copied(client, monitor.next_command()["command"], known))

    copying = threading.Thread(target=copy, daemon=True)
    copying.start()
    breaks(load)
    load.jobs += [hand_in(site, clip(site, 90 + number)) for number in range(4)]
    wait_all(load, 90)
    stop.set()
    copying.join(20)
    runs = [run for job in load.jobs for run in ledger().runs(job).values()]
    wrong = [f"{run.job_id}: {run.analyzer} was begun {run.attempts} times" for run in runs if run.attempts != 1]
    if copied.total() < 4 * len(ANALYZERS):
        wrong.append(f"only {copied.total()} messages were copied")
    kinds = {"prepare", "advance", *map(task_name, ANALYZERS)}  # the last `advance` aggregates
    return wrong + [f"no message of {kind} was copied" for kind in sorted(kinds - copied.keys())]


def _copied(client: redis.Redis, command: str, known: set[str]) -> list[str]:
    """Send a queued message again under another delivery tag; its task, if it had not been copied before."""
    verb, _, rest = command.partition(" ")
    key, _, text = rest.partition(" ")
    if verb.upper() != "LPUSH" or key.partition(":")[0] not in ("control", "light", "detect"):
        return []
    try:
        message = json.loads(text)
    except ValueError:
        return []
    if message["headers"].get("copy") or message["properties"]["delivery_tag"] in known:
        return []
    known.add(message["properties"]["delivery_tag"])
    message["headers"]["copy"] = True
    message["properties"]["delivery_tag"] += "-copy"
    client.lpush(key, json.dumps(message))
    return [str(message["headers"]["task"])]
