"""Running one analyzer on one job: the only place that catches. Every run ends in a stored outcome.

The outcome is stored before the task returns; what goes through Redis is its status alone.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from socket import gethostname
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.canvas import Signature
from structlog.contextvars import bound_contextvars

from shared import traces
from shared.errors import Cancelled, Infrastructure, ReelgraphError, Skipped, Unavailable
from shared.events import Event
from shared.frames import ReadStats
from shared.ledger import Ending
from shared.log import logger
from shared.passes import VIDEO_DAMAGED
from shared.renditions import Audio
from shared.schema import (
    AnalyzerReport,
    ErrorInfo,
    MediaInfo,
    Outcome,
    Receipt,
    Span,
    Status,
    TrackSet,
    track_length,
)
from shared.settings import settings
from shared.spans import without
from shared.storage import cache_key, outcome_key, video_key
from shared.tables import Job, Run
from shared.text import in_short, one_line
from tasks import devices
from tasks.celery import app
from tasks.devices import Device, DeviceLost, OutOfDeviceMemory
from tasks.holding import Hold, held
from tasks.inputs import JobMedia, endings, stored_tracks
from tasks.loading import ON_CPU, Loaded, in_use, loaded
from tasks.models import Engine
from tasks.node import events, frame_store, ledger, storage
from tasks.outcomes import Unstorable, reported, staged
from tasks.plan import GRACE_SECONDS, Plan, fingerprint
from tasks.provenance import NOTHING, fitted_renditions
from tasks.registry import AnyAnalyzer, analyzers, dependencies, task_name

log = logger(__name__)


GPU_LOST = 74  # EX_IOERR of sysexits.h

BRIEFS = 4
"""Jobs whose briefs a process keeps: a worker meets those that run at once by turns."""

AWAY = frozenset({"ledger_unreachable", "storage_error", "media_server_died"})
"""Codes of what another attempt may not meet, a link that is cut or a process that was killed from outside: one is made
while there are attempts left."""

OURS = (SoftTimeLimitExceeded, MemoryError, ReelgraphError)
"""Errors that say by themselves what a run has ended in."""

STATUS_OF: tuple[tuple[type[ReelgraphError], Status], ...] = (
    (Skipped, "skipped"),
    (Cancelled, "cancelled"),
    (Unavailable, "unavailable"),
)


def run(name: str, job_id: str, worker: str | None) -> str:
    """Run an analyzer on a job and store its outcome; the status, or why there was nothing to do."""
    brief = _brief(job_id)
    limit = brief.plan.limits[name] + GRACE_SECONDS
    attempt = ledger().begin(job_id, name, limit_seconds=limit, holder=worker or gethostname())
    if attempt is None:
        return "ended before, or held by another"
    events().publish(job_id, Event(type="started", analyzer=name))
    with held(attempt) as hold:
        work = Work(analyzers()[name], brief, hold, worker)
        try:
            with in_use(), traces.span(task_name(name), job=job_id, analyzer=name, attempt=attempt.attempts) as traced:
                outcome = work.outcome()
                traced.note(status=outcome.report.status)
                if outcome.report.error is not None and outcome.report.status in ("failed", "timeout"):
                    traced.fail(outcome.report.error.code)
        except DeviceLost as error:
            log.exception("gpu_lost", job=job_id, analyzer=name)
            ledger().let_go(attempt, died_of=error.code)
            raise SystemExit(GPU_LOST) from error  # a new child gets the task: this process cannot use the GPU again
        try:
            status = _stored(work, outcome)
        except Unstorable as error:
            status = _stored(work, work.ended_by(error))
    if work.device_lost:
        raise SystemExit(GPU_LOST)
    return status


def _stored(work: Work, outcome: Outcome) -> str:
    job_id, name = work.brief.job_id, work.analyzer.name
    mark = work.fingerprint() if outcome.report.status == "ok" else None
    with staged(job_id, [outcome]) as put:
        ended = ledger().end(job_id, outcome.report, attempt=work.attempt.attempts, fingerprint=mark, commit=put)
    if not ended:
        log.warning("outcome_superseded", job=job_id, analyzer=name, attempt=work.attempt.attempts)
        return "superseded"
    announce(job_id, outcome)
    if mark is not None:
        _keep_for_later(job_id, name, mark)
    log.info("analyzed", status=outcome.report.status)
    return outcome.report.status


def _keep_for_later(job_id: str, name: str, mark: str) -> None:
    try:
        storage().copy(outcome_key(job_id, name), cache_key(mark))
    except Infrastructure as error:  # the outcome is stored; a later job makes its own
        log.warning("not_cached", error=error.message)


def analysis(job: Job, plan: Plan, name: str) -> Signature[Any]:
    """The task that runs one analyzer on a job, routed to its group's queue, with its time limits."""
    signature = app.tasks[task_name(name)].si(job.id).set(queue=analyzers()[name].group, priority=job.priority)
    soft = plan.limits[name]
    signature.options.update(soft_time_limit=soft, time_limit=soft + GRACE_SECONDS)
    return signature


def announce(job_id: str, outcome: Outcome) -> None:
    """Tell the job's followers that an analyzer has ended."""
    items = sum(map(track_length, outcome.tracks))
    events().publish(job_id, Event(type="finished", analyzer=outcome.report.name, report=outcome.report, items=items))


@dataclass(frozen=True, slots=True)
class Brief:
    """What a job asks for: of its row, what stays as it is from its planning on."""

    job_id: str
    video_sha256: str
    profile: str
    options: Mapping[str, Mapping[str, Any]]
    plan: Plan
    media: MediaInfo


@lru_cache(maxsize=BRIEFS)
def _brief(job_id: str) -> Brief:
    """What a job asks for, read once for all its analyzers."""
    job = ledger().job(job_id)
    plan, media = Plan.of(job), job.video
    return Brief(job.id, job.video_sha256, job.profile, job.options, plan, media)


class Work:
    """One attempt of one analyzer."""

    def __init__(self, analyzer: AnyAnalyzer, brief: Brief, hold: Hold, worker: str | None) -> None:
        self.analyzer, self.hold, self.worker = analyzer, hold, worker
        self.brief, self.plan, self.media = brief, brief.plan, brief.media
        self.attempt: Run = hold.run
        self.options: Mapping[str, Any] = brief.options.get(analyzer.name, {})
        self.started = time.monotonic()
        self.load_seconds = 0.0
        self.hardware = ON_CPU
        self.used = NOTHING
        """The weights that this process works with; none until they are loaded."""
        self.engines: tuple[Engine, ...] = ()
        self.worked: tuple[int, ...] = ()
        """Batches that each of `engines` had answered before this run: another analyzer may share it."""
        self.video: Path | None = None
        self.device_lost = False
        self.stats = ReadStats()

    def outcome(self) -> Outcome:
        """The outcome, whatever happens."""
        try:
            self._refuse()
            result = self._analyze(self._loaded())
            tracks = result.tracks(self.analyzer.name, self.media.duration_seconds)
            return Outcome(report=self._report("ok", self._analysed(result)), tracks=tracks)
        except Exception as error:  # noqa: BLE001  (the envelope: whatever an analyzer raises must not break the chord)
            ended = _told_by_device(self.analyzer.name, self.hardware.device, error) or error
            cause = _cause(ended)
            if isinstance(cause, DeviceLost):
                if self.attempt.deaths + 1 < settings().max_attempts:
                    raise cause  # noqa: B904  (it has a cause of its own)
                self.device_lost = True
            if isinstance(cause, Infrastructure) and cause.code in AWAY and not self._is_last:
                raise cause  # noqa: B904  (as above)
            return self.ended_by(ended)

    def ended_by(self, error: Exception) -> Outcome:
        """The outcome of a run that this error ended."""
        status, reason = self._ending(error)
        if reason.code == VIDEO_DAMAGED:
            self._note_damaged()
        return Outcome(report=self._report(status, (), reason))

    def fingerprint(self) -> str:
        """What the outcome depends on, with the inputs as they really were."""
        ended = self.inputs
        inputs = {
            name: ended[name].fingerprint if name in ended and ended[name].status == "ok" else None
            for name in dependencies(self.analyzer)
        }
        return fingerprint(
            self.analyzer,
            video_sha256=self.brief.video_sha256,
            weights=self.used.digest,
            precision=self.used.precision,
            options=self.options,
            renditions=fitted_renditions(self.analyzer, self.brief.profile, self.plan),
            inputs=inputs,
        )

    @cached_property
    def inputs(self) -> Mapping[str, Ending]:
        """How the analyzers that this one may read have ended: all had before it began, so that once is enough."""
        return endings(ledger(), self.brief.job_id, dependencies(self.analyzer))

    @property
    def _is_poison(self) -> bool:
        return self.attempt.deaths >= settings().max_attempts

    @property
    def _is_last(self) -> bool:
        return self.attempt.attempts >= settings().max_attempts

    def _is_over(self) -> bool:
        if self.hold.lost:
            return True
        try:
            return ledger().is_cancelled(self.brief.job_id)
        except Infrastructure as error:  # work is not thrown away because nobody can be asked; its time limit stays
            log.warning("cancel_not_asked", error=error.message)
            return False

    def _refuse(self) -> None:
        if self.brief.profile != (mine := settings().profile):
            message = f"the job is of the profile {self.brief.profile}, and the worker that took it is of {mine}"
            way_out = f"start workers with REELGRAPH_PROFILE={self.brief.profile}"
            raise Unavailable(f"{message}: {way_out}", code="other_profile")
        if self._is_poison:
            message = f"its process died in each of {self.attempt.deaths} attempts, of {self.attempt.died_of} at last"
            raise ReelgraphError(message, code="worker_died")
        if ledger().is_cancelled(self.brief.job_id):
            raise Cancelled("the job was cancelled")
        for name in self.analyzer.requires:
            if name not in self.inputs or not self.inputs[name].has_result:
                raise Skipped(f"{name} brought no result", code="missing_input")

    def _loaded(self) -> Loaded:
        before = time.monotonic()
        ready = loaded(self.analyzer)
        self.load_seconds = time.monotonic() - before
        self.hardware, self.engines, self.used = ready.hardware, ready.engines, ready.used
        self.worked = tuple(engine.worked for engine in ready.engines)
        devices.reset_peak()
        return ready

    def _analyze(self, ready: Loaded) -> TrackSet:
        with storage().held(video_key(self.brief.video_sha256)) as video:
            return self._analyze_held(ready, video)

    def _analyze_held(self, ready: Loaded, video: Path) -> TrackSet:
        self.video = video
        media = JobMedia(
            info=self.media,
            plan=self.plan,
            open_reader=lambda check: frame_store().open(
                video, self.media, self.plan.renditions, check=check, began=self._count_pass
            ),
            tracks=stored_tracks(storage(), self.brief.job_id, self.inputs),
            cancelled=self._is_over,
            report=self._progress,
        )
        self.stats = media.reader.stats
        with media.reader:
            result: TrackSet = ready.analyzer.analyze(media, self.analyzer.options.model_validate(dict(self.options)))
        return result

    def _note_damaged(self) -> None:
        try:
            storage().note_damaged(self.brief.video_sha256)
        except Infrastructure as error:  # the next job on the video finds it out again
            log.warning("damage_not_noted", video=self.brief.video_sha256, error=error.message)

    def _count_pass(self) -> None:
        try:
            ledger().count_decode_pass(self.brief.job_id, self.analyzer.name)
        except Infrastructure as error:  # a figure in the document is not worth the work
            log.warning("decode_pass_not_counted", job=self.brief.job_id, error=error.message)

    def _progress(self, fraction: float) -> None:
        event = Event(type="progress", analyzer=self.analyzer.name, fraction=round(fraction, 3))
        events().publish(self.brief.job_id, event)

    def _analysed(self, result: TrackSet) -> tuple[Span, ...]:
        duration = self.media.duration_seconds
        if result.analysed is not None:
            spans = result.analysed
        elif self.analyzer.reads(self.brief.profile):
            spans = tuple(self.stats.spans)
        else:
            spans = ((0.0, duration),)
        return tuple((min(start, duration), min(end, duration)) for start, end in self._shown(spans))

    def _shown(self, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        """The spans without seconds of which an analyzer of pictures alone had none."""
        hears = any(isinstance(need, Audio) for need in self.analyzer.reads(self.brief.profile))
        return spans if hears else tuple(without(spans, self.stats.holes))

    def _ending(self, error: Exception) -> tuple[Status, ErrorInfo]:
        status: Status = "failed"
        match cause := _cause(error):
            case SoftTimeLimitExceeded():
                seconds = self.plan.limits[self.analyzer.name]
                return "timeout", ErrorInfo(
                    code="time_limit", message=f"not finished in {seconds:.0f} s", retryable=True
                )
            case MemoryError():
                return "failed", ErrorInfo(code="out_of_memory", message="not enough memory", retryable=True)
            case ReelgraphError():
                status = next((status for kind, status in STATUS_OF if isinstance(cause, kind)), "failed")
                reason = ErrorInfo(code=cause.code, message=self._named(cause.message), retryable=cause.retryable)
            case _:
                said = f"{type(cause).__name__}: {in_short(str(cause))}"
                reason = ErrorInfo(code="analyzer_error", message=said)
        if status == "failed":
            log.error("analyzer_failed", job=self.brief.job_id, analyzer=self.analyzer.name, exc_info=error)
        return status, reason

    def _named(self, message: str) -> str:
        """A sentence without the place where this host keeps the video."""
        return message.replace(one_line(str(self.video)), "the video") if self.video else message

    def _report(self, status: Status, analysed: tuple[Span, ...], error: ErrorInfo | None = None) -> AnalyzerReport:
        return AnalyzerReport(
            name=self.analyzer.name,
            version=self.analyzer.version,
            status=status,
            weights=self.used.digest,
            options=reported(self.options),
            analysed=analysed,
            error=error,
            receipt=self._receipt(),
        )

    def _receipt(self) -> Receipt:
        seconds = time.monotonic() - self.started
        queued = self.attempt.queued_at
        began = self.attempt.started_at
        return Receipt(
            queue_seconds=round(max(0.0, began - queued), 3) if queued and began else None,
            load_seconds=round(self.load_seconds, 3),
            decode_seconds=round(self.stats.decode_seconds, 3),
            infer_seconds=round(max(0.0, seconds - self.stats.decode_seconds - self.load_seconds), 3),
            decode_passes=self.stats.decode_passes,
            peak_rss_mib=_peak_rss_mib(),
            peak_gpu_mib=devices.peak_mib(),
            held_gpu_mib=devices.held_mib(),
            device=self.hardware.device,
            precision=self.hardware.precision,
            batches={
                engine.files.entry: engine.worked - before
                for engine, before in zip(self.engines, self.worked, strict=True)
            },
            notes=(*self.hardware.notes, *filter(None, [self.plan.slower.get(self.analyzer.name)])),
            weights_reviewed=self.used.reviewed,
            attempts=self.attempt.attempts - self._is_poison,
            realtime_factor=round(seconds / self.media.duration_seconds, 4) if self.media.duration_seconds else None,
            worker=self.worker,
        )


def _cause(error: Exception) -> Exception:
    """The time limit, the missing memory or our own error that a library has wrapped into one of its own; else itself.

    rapidocr, for one, raises its own for whatever comes while a network runs.
    """
    return next((inner for inner in _chain(error) if isinstance(inner, OURS)), error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, then what it came of."""
    seen: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in seen:
        yield inner
        seen.append(inner)
        inner = inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__)


def _told_by_device(name: str, device: str, error: Exception) -> DeviceLost | OutOfDeviceMemory | None:
    """What became of the device behind an error in a library's own words; None where that is not what it is about.

    A failed kernel is told of by whatever waits for the GPU next: cuDNN, for one, calls it an execution that failed.
    """
    if isinstance(_cause(error), OURS):
        return None
    ended: DeviceLost | OutOfDeviceMemory | None = None
    for inner in _chain(error):  # the root of it says most
        ended = devices.told(inner, name, Device(device)) or ended
    if ended is None and not devices.still_works():
        ended = DeviceLost(f"the GPU failed in {name}: {in_short(str(error))}")
    if ended is not None:
        ended.__cause__ = error
    return ended


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def _register(name: str) -> None:
    @app.task(name=task_name(name), bind=True, ignore_result=True)  # a chord counts it all the same
    def analyze(task: Task[[str], str], job_id: str) -> str:
        with bound_contextvars(job=job_id, analyzer=name):  # in every line of the log from here on
            return run(name, job_id, task.request.hostname)


for _name in analyzers():
    _register(_name)
