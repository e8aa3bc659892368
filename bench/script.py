"""One analyzer as people run models today: a script that decodes for itself and loads its own model.

    python -m bench.script ANALYZER JOB
    python -m bench.script --only-start VIDEO   what each of them does that is this project's own, and end

Reads the settings of the bench that started it; other analyzers' tracks are those of the finished job.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from bench.cpu import tree_cpu
from shared import isolated
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

LIBRARIES = ("numpy", "av", "cv2")
"""What such a script would import anyway; its model's library comes with the model, when it is loaded."""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of one analyzer, and those of them that loaded its model."""

    cpu_seconds: float
    loading_cpu_seconds: float


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


def analyze(name: str, job_id: str) -> Spent:
    """Decode what the analyzer reads, load its model, run it; the result is thrown away."""
    began = tree_cpu(psutil.Process())
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
        before = tree_cpu(psutil.Process())
        ready = load(name)
        loading = tree_cpu(psutil.Process()) - before
        with media.reader:
            ready.analyze(media, analyzer.options.model_validate(dict(job.options.get(name, {}))))
    return Spent(tree_cpu(psutil.Process()) - began, loading)


def start(video: Path) -> None:
    """What a script of somebody else would not do: import the analyzers, start the process that reads media."""
    analyzers()
    isolated.probe(video)


@click.command()
@click.argument("name", required=False)
@click.argument("job_id", required=False)
@click.option("--only-start", type=click.Path(path_type=Path, exists=True))
def main(*, name: str | None, job_id: str | None, only_start: Path | None) -> None:
    """Run one analyzer on the video of a finished job."""
    if only_start is not None:
        start(only_start)
    elif name is None or job_id is None:
        raise click.UsageError("ANALYZER and JOB are needed, or --only-start VIDEO")
    else:
        analyze(name, job_id)


if __name__ == "__main__":
    main()
