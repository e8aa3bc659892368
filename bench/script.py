"""One analyzer as people run models today: a script that decodes for itself and loads its own model.

    python -m bench.script ANALYZER JOB

Reads the settings of the bench that started it; other analyzers' tracks are those of the finished job.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from shared.frames import FrameStore
from shared.schema import TrackSet
from shared.settings import settings
from shared.storage import video_key
from tasks.analyzer import Analyzer, Options
from tasks.inputs import JobMedia, endings, stored_tracks
from tasks.models import Engines, Models
from tasks.node import ledger, storage, weights
from tasks.plan import Plan
from tasks.registry import analyzers, dependencies, extra_entry, weights_entry


def load(name: str) -> Analyzer[Options, TrackSet]:
    """The analyzer with a model of its own, loaded and warmed up now, whatever this process has loaded before."""
    here, analyzer = settings(), analyzers()[name]
    engines = Engines()
    models = Models(
        weights(), weights_entry(analyzer, here.profile), profile=here.profile, threads=here.threads, shared=engines
    )
    models.extra = extra_entry(analyzer, here.profile)
    made: Analyzer[Options, TrackSet] = analyzer()
    made.load(models)
    return made


def analyze(name: str, job_id: str) -> None:
    """Decode what the analyzer reads, load its model, run it; the result is thrown away."""
    analyzer, job = analyzers()[name], ledger().job(job_id)
    plan = Plan.of(job)
    info = job.video
    mine = tuple(dict.fromkeys(plan.frames.get(n.key) or plan.audio[n.key] for n in analyzer.reads(job.profile)))
    video = storage().path(video_key(job.video_sha256))
    with tempfile.TemporaryDirectory() as folder:
        store = FrameStore(Path(folder), budget_bytes=settings().frame_store_bytes)
        media = JobMedia(
            info=info,
            plan=plan,
            open_reader=lambda check: store.open(video, info, mine, check=check),
            tracks=stored_tracks(storage(), job_id, endings(ledger(), job_id, dependencies(analyzer))),
            cancelled=lambda: False,
            report=lambda _: None,
        )
        ready = load(name)
        with media.reader:
            ready.analyze(media, analyzer.options.model_validate(dict(job.options.get(name, {}))))


@click.command()
@click.argument("name")
@click.argument("job_id")
def main(name: str, job_id: str) -> None:
    """Run one analyzer on the video of a finished job."""
    analyze(name, job_id)


if __name__ == "__main__":
    main()
