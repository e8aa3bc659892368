"""Planning a job: what is decided already, what is known from earlier jobs, and what has to run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from shared import traces
from shared.errors import BadInput
from shared.events import Event
from shared.frames import Rendition, fit
from shared.schema import AnalyzerReport, ErrorInfo, MediaInfo, OptionValue, Outcome, Receipt
from shared.settings import settings
from shared.tables import Job, Run
from tasks.analyze import announce
from tasks.celery import app
from tasks.deadline import Economy, Workload, economise
from tasks.inputs import cached_outcome
from tasks.node import events, frame_store, ledger, storage
from tasks.outcomes import reported, staged
from tasks.plan import Plan, Refused, fingerprint, measured, plan, refused, wanted
from tasks.provenance import expected
from tasks.registry import AnyAnalyzer, asked_for, dependencies, levels, parse_options, retired


@app.task(name="prepare", ignore_result=True)
def prepare(job_id: str) -> None:
    """Plan a queued job and note the plan in the ledger; nothing happens for a job that was planned before."""
    with traces.span("prepare", job=job_id):
        job = ledger().job(job_id)
        if job.state == "queued":
            _prepare(job)


def _prepare(job: Job) -> None:
    media = job.video
    chosen = asked_for(job.requested)
    room = fit(wanted(chosen, job.profile, media), media, frame_store().video_bytes)
    known = _Known(job, media, room.renditions)
    known.look_at(chosen)
    remaining = job.remaining_seconds
    known, economy = _economised(known, chosen, remaining)
    drawn = plan(
        [one for one in chosen if one.name not in known.outcomes],
        profile=job.profile,
        media=media,
        remaining_seconds=remaining,
        economy=economy,
        notes=room.notes,
    )
    gone = [Run(job_id=job.id, analyzer=name, level=0) for name in retired(job.requested)]
    runs = [*_runs_to_do(job.id, drawn), *known.runs(), *gone]
    with staged(job.id, tuple(known.outcomes.values())) as put:
        started = ledger().start(job.id, drawn.model_dump(mode="json"), runs, commit=put)
    if started:
        events().publish(job.id, Event(type="planned", analyzers=tuple(one.name for one in chosen)))
        for outcome in known.outcomes.values():
            announce(job.id, outcome)


def _economised(known: _Known, chosen: Sequence[AnyAnalyzer], remaining_seconds: float) -> tuple[_Known, Economy]:
    """What the job does with the time that is left, and what is known then.

    It is planned like a job before it that was as short of time if that one has found anything; else for what has to
    run alone.
    """
    to_run = [one for one in chosen if one.name not in known.outcomes]
    everything = [one for one in chosen if one in to_run or known.has_result(one)]
    economy = economise(known.workload(everything), remaining_seconds).of(one.name for one in to_run)
    then = known.under(economy, to_run)
    if len(everything) > len(to_run) and not any(map(then.has_result, to_run)):
        economy = economise(known.workload(to_run), remaining_seconds)
        then = known.under(economy, to_run)
    return then, economy


def _runs_to_do(job_id: str, drawn: Plan) -> list[Run]:
    return [
        Run(job_id=job_id, analyzer=name, level=number) for number, level in enumerate(drawn.levels) for name in level
    ]


class _Known:
    """Outcomes that are known before anything runs."""

    def __init__(self, job: Job, media: MediaInfo, fitted: Mapping[Rendition, Rendition]) -> None:
        self.job, self.media, self.fitted = job, media, fitted
        self.outcomes: dict[str, Outcome] = {}
        self.marks: dict[str, str | None] = {}
        self.fresh = set(job.fresh or ())
        self.slower: Mapping[str, str] = {}

    def workload(self, counted: Sequence[AnyAnalyzer]) -> Workload:
        """All that these analyzers have to do at the rates that were asked for."""
        job = self.job
        costs = measured(counted, job.profile, job.options)
        named = (*job.requested, *(job.fresh or ()))
        return Workload(tuple(counted), costs, named, job.profile, self.media, self.fitted)

    def under(self, economy: Economy, to_run: Sequence[AnyAnalyzer]) -> _Known:
        """What is known when these analyzers run at an economy's rates, or are left out."""
        if not economy.notes:
            return self
        then = _Known(self.job, self.media, economy.renditions)
        then.outcomes, then.marks, then.fresh = dict(self.outcomes), dict(self.marks), set(self.fresh)
        then.slower = economy.slower
        for analyzer in to_run:
            if (why := economy.left_out.get(analyzer.name)) is not None:
                reason = ErrorInfo(code="deadline", message=why, retryable=True)
                then._decide(analyzer, Refused("skipped", reason))
        then.look_at([one for one in to_run if one.name not in then.outcomes])
        return then

    def has_result(self, analyzer: AnyAnalyzer) -> bool:
        """Whether its result was found in the cache."""
        return analyzer.name in self.outcomes and self.marks[analyzer.name] is not None

    def look_at(self, chosen: Sequence[AnyAnalyzer]) -> None:
        """Decide what is known of these analyzers, those first that others depend on."""
        for level in levels(chosen):
            for analyzer in level:
                self._look(analyzer)

    def _look(self, analyzer: AnyAnalyzer) -> None:
        """Decide one analyzer; those it depends on were looked at before."""
        traits = settings().infer_personal_traits
        no = refused(analyzer, self.job.profile, self.media, infer_personal_traits=traits)
        no = no or _refused_options(analyzer, self.job.options.get(analyzer.name, {}))
        lost = [name for name in analyzer.requires if name in self.outcomes and self.marks.get(name) is None]
        if no is None and lost:
            no = Refused("skipped", ErrorInfo(code="missing_input", message=f"{', '.join(lost)} brought no result"))
        if no is not None:
            self._decide(analyzer, no)
            return
        mark = self.marks[analyzer.name] = self._fingerprint(analyzer)
        if self._is_fresh(analyzer):
            self.fresh.add(analyzer.name)
        elif (cached := cached_outcome(storage(), mark)) is not None:
            report = cached.report.model_copy(update={"receipt": self._receipt(analyzer, cached.report.receipt)})
            self.outcomes[analyzer.name] = cached.model_copy(update={"report": report})

    def _receipt(self, analyzer: AnyAnalyzer, of_run: Receipt) -> Receipt:
        """The receipt of a hit: it cost nothing, and its weights and their precision are those of the run."""
        return Receipt(
            cache_hit=True,
            precision=of_run.precision,
            weights_reviewed=of_run.weights_reviewed,
            notes=tuple(filter(None, [self.slower.get(analyzer.name)])),
        )

    def runs(self) -> list[Run]:
        """The ledger's rows of what is known."""
        now = time.time()
        return [
            Run(
                job_id=self.job.id,
                analyzer=name,
                level=-1,
                status=outcome.report.status,
                finished_at=now,
                fingerprint=self.marks.get(name),
                report=outcome.report.model_dump(mode="json"),
            )
            for name, outcome in self.outcomes.items()
        ]

    def _decide(self, analyzer: AnyAnalyzer, no: Refused) -> None:
        report = AnalyzerReport(
            name=analyzer.name,
            version=analyzer.version,
            status=no.status,
            options=reported(self.job.options.get(analyzer.name, {})),
            error=no.error,
        )
        self.outcomes[analyzer.name] = Outcome(report=report)
        self.marks[analyzer.name] = None

    def _is_fresh(self, analyzer: AnyAnalyzer) -> bool:
        """Whether it shall run again, because the job says so or because it reads what does."""
        return analyzer.name in self.fresh or not self.fresh.isdisjoint(dependencies(analyzer))

    def _fingerprint(self, analyzer: AnyAnalyzer) -> str:
        planned = expected(analyzer, self.job.profile)
        return fingerprint(
            analyzer,
            video_sha256=self.job.video_sha256,
            weights=planned.digest,
            precision=planned.precision,
            options=self.job.options.get(analyzer.name, {}),
            renditions=[self.fitted[need].key for need in analyzer.reads(self.job.profile) if need in self.fitted],
            inputs={name: self.marks.get(name) for name in dependencies(analyzer)},
        )


def _refused_options(analyzer: AnyAnalyzer, options: Mapping[str, OptionValue]) -> Refused | None:
    """Why it cannot run with these options: an older version took the job, and this one would not."""
    try:
        parse_options({analyzer.name: options})
    except BadInput as error:
        return Refused("failed", ErrorInfo(code=error.code, message=error.message))
    return None
