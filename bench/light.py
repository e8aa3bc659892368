"""Row family 1, speed of light: each analyzer in the running service against its bare model, in pairs.

    python -m bench.light [--short] [--clip VIDEO]

Bare is the wall clock inside the networks' own library calls while the analyzer runs in this process on frames that
are in memory; for an analyzer without a network, that run as a whole. The service runs that analyzer only (its inputs
come from the cache), so neither of a pair shares the cores with the other; both have a worker's number of threads.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click

from bench import clips as videos
from bench.alone import Alone, held
from bench.rows import Row, not_measured, say
from bench.stage import as_a_worker, document, ended, report, warm
from services.submit import Order, accept, again, queue
from shared.tables import Job
from tasks.registry import analyzers, dependencies

PAIRS, SHORT_PAIRS = 3, 1
HEAVY_SECONDS, HEAVY_GOAL, GOAL = 0.1, 1.10, 1.25
TOO_SHORT_SECONDS = 0.01


def closure(name: str) -> tuple[str, ...]:
    """The analyzer and all whose tracks it may read, whoever they read."""
    found, waiting = {name}, [name]
    while waiting:
        for other in dependencies(analyzers()[waiting.pop()]):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return tuple(sorted(found))


def in_service(base: Job, name: str) -> float | None:
    """Infer seconds of one analyzer that alone runs; None when something else had to run, too."""
    repeated, _ = again(base, Order(analyzers=closure(name), fresh=(name,)))
    queue(repeated)
    found = document(repeated)
    others = [one for one in found.analyzers if one.name != name and one.status == "ok" and not one.receipt.cache_hit]
    mine = report(found, name)
    return None if others or mine.status != "ok" else mine.receipt.infer_seconds


def figure(name: str, pairs: list[tuple[float, Alone]]) -> Row:
    """The row of one analyzer."""
    service = statistics.median(served for served, _ in pairs)
    alone = statistics.median(one.seconds for _, one in pairs)
    model = statistics.median(one.model_seconds for _, one in pairs)
    bare = model or alone
    ratio = statistics.median(served / (one.model_seconds or one.seconds) for served, one in pairs)
    detail = {
        "service_seconds": round(service, 4),
        "in_memory_seconds": round(alone, 4),
        "in_memory_cpu_seconds": round(statistics.median(one.cpu_seconds for _, one in pairs), 4),
        "model_seconds": round(model, 4),
        "over_in_memory": round(statistics.median(served / one.seconds for served, one in pairs), 3),
        "bare": "networks" if model else "the analyzer itself",
    }
    if bare < TOO_SHORT_SECONDS:
        reason = f"bare it takes {bare * 1000:.1f} ms: too short to say more than that the service took {service:.3f} s"
        return Row(row=f"light.{name}", value=None, unit="ratio", reason=reason, detail={**detail})
    goal = HEAVY_GOAL if bare > HEAVY_SECONDS and model else GOAL
    return Row(row=f"light.{name}", value=ratio, goal=goal, unit="ratio", detail={**detail})


def measure(base: Job, pairs: int) -> None:
    """Print a row for every analyzer that has a result in the job."""
    done = document(base)
    for one in done.analyzers:
        if one.status != "ok":
            message = one.error.message if one.error else one.status
            not_measured(f"light.{one.name}", f"{one.status}: {message}", "ratio")
            continue
        with held(base, one.name) as once:
            once()  # first run: lazily made things
            measured = []
            for _ in range(pairs):
                served = in_service(base, one.name)
                if served is not None:
                    measured.append((served, once()))
        if measured:
            say(figure(one.name, measured))
        else:
            not_measured(f"light.{one.name}", "its inputs were not in the cache, so it did not run alone", "ratio")


@click.command()
@videos.options
def main(*, short: bool, clips: tuple[Path, ...]) -> None:
    """Measure the first clip."""
    as_a_worker()
    with tempfile.TemporaryDirectory() as folder:
        clip = videos.chosen(clips, Path(folder), short=short)[0]
        with warm():
            base = ended(accept(clip))
            measure(base, SHORT_PAIRS if short else PAIRS)


if __name__ == "__main__":
    main()
