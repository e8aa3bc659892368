"""What an analyzer sees of a running job: `tasks.analyzer.Media` over the frame store and stored outcomes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput, Cancelled, Infrastructure, ReelgraphError
from shared.frames import Audio, FrameBatch, FrameReader, Frames
from shared.ledger import Ending, Ledger
from shared.log import logger
from shared.schema import BaseTrack, MediaInfo, Outcome, SeriesTrack, Span
from shared.storage import Storage, cache_key, outcome_key
from shared.tables import Run
from tasks.analyzer import ItemT
from tasks.plan import Plan
from tasks.registry import parse_track

CANCEL_POLL_SECONDS = 0.5
PROGRESS_SECONDS = 0.3

OUTCOME_LOST = "outcome_lost"
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What reading an outcome raises where its bytes are not what was written; ValueError is JSON's and pydantic's."""

log = logger(__name__)


class JobMedia:
    """The media of one job, for one analyzer."""

    def __init__(
        self,
        *,
        info: MediaInfo,
        plan: Plan,
        open_reader: Callable[[Callable[[], None]], FrameReader],
        tracks: Mapping[str, BaseTrack],
        cancelled: Callable[[], bool],
        report: Callable[[float], None],
    ) -> None:
        self._info, self._plan, self._tracks = info, plan, tracks
        self._cancelled, self._report = cancelled, report
        self._asked_at = self._told_at = time.monotonic()
        self.reader = open_reader(self.check)

    @property
    def info(self) -> MediaInfo:
        """Facts about the file."""
        return self._info

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches of the rendition that the plan gives for `need`."""
        duration = self._info.duration_seconds
        for frames in self.reader.frames(self._plan.frames[need.key], batch=batch):
            yield frames
            self.progress(min(1.0, float(frames.times[-1]) / duration) if duration else 1.0)

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that it has at most."""
        return self.reader.rate(self._plan.frames[need.key])

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """The frame shown at `t` and its time."""
        self.check()
        return self.reader.frame_at(self._plan.frames[need.key], t)

    def shown(self, need: Frames) -> tuple[Span, ...]:
        """When that rendition has a picture."""
        self.check()
        return self.reader.shown(self._plan.frames[need.key])

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """The sound in the rendition that the plan gives for `need`."""
        self.check()
        return self.reader.audio(self._plan.audio[need.key])

    def items(self, track: str, kind: type[ItemT]) -> tuple[ItemT, ...]:
        """Items of another analyzer's track, seen as `kind`."""
        found = getattr(self._tracks.get(track), "items", ())
        known = set(kind.model_fields)
        return tuple(
            item if isinstance(item, kind) else kind.model_validate(item.model_dump(include=known)) for item in found
        )

    def series(self, track: str) -> SeriesTrack | None:
        """Another analyzer's series."""
        found = self._tracks.get(track)
        return found if isinstance(found, SeriesTrack) else None

    def has(self, analyzer: str) -> bool:
        """Whether that analyzer has a result."""
        return any(track.analyzer == analyzer for track in self._tracks.values())

    def progress(self, fraction: float) -> None:
        """Tell how far the work is, a few times a second at most."""
        self.check()
        if time.monotonic() - self._told_at > PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._report(fraction)

    def check(self) -> None:
        """Raise Cancelled when the job was cancelled or has ended."""
        if time.monotonic() - self._asked_at > CANCEL_POLL_SECONDS:
            self._asked_at = time.monotonic()
            if self._cancelled():
                raise Cancelled("the job was cancelled")


def stored_outcome(storage: Storage, job_id: str, analyzer: str) -> Outcome:
    """A job's outcome of one analyzer.

    Raises:
        Infrastructure: it is gone or nobody can read it (`outcome_lost`), or the storage does not answer.
    """
    try:
        return parse_outcome(storage.read(outcome_key(job_id, analyzer)))
    except FileNotFoundError as error:
        raise Infrastructure(f"the stored outcome of {analyzer} is gone", code=OUTCOME_LOST) from error
    except OSError as error:
        message = f"the stored outcome of {analyzer} cannot be read: {error.strerror}"
        raise Infrastructure(message, code="disk_error") from error
    except (*UNREADABLE, BadInput) as error:
        message = f"the stored outcome of {analyzer} is damaged: {type(error).__name__}"
        raise Infrastructure(message, code=OUTCOME_LOST) from error


def cached_outcome(storage: Storage, fingerprint: str) -> Outcome | None:
    """The good outcome of any job with that fingerprint. One that cannot be read counts as none."""
    try:
        return parse_outcome(storage.read(cache_key(fingerprint)))
    except FileNotFoundError:
        return None
    except (*UNREADABLE, OSError, ReelgraphError) as error:
        log.warning("cache_unreadable", fingerprint=fingerprint, error=str(error))
        return None


def outcome_of(storage: Storage, run: Run) -> Outcome:
    """How a run has ended, with what it found. Raises Infrastructure as `stored_outcome` does."""
    return stored_outcome(storage, run.job_id, run.analyzer) if run.has_result else Outcome(report=run.outcome)


def parse_outcome(content: bytes) -> Outcome:
    """A stored outcome, its tracks as the analyzer's own types."""
    raw = json.loads(content)
    tracks = tuple(parse_track(track) for track in raw["tracks"])
    return Outcome(report=raw["report"], tracks=tracks)


def endings(ledger: Ledger, job_id: str, names: tuple[str, ...]) -> dict[str, Ending]:
    """How those of the named analyzers that are in this job have ended."""
    return ledger.endings(job_id, names) if names else {}


def stored_tracks(storage: Storage, job_id: str, ended: Mapping[str, Ending]) -> dict[str, BaseTrack]:
    """The tracks of those analyzers that have a result, by id."""
    with_result = [name for name, ending in ended.items() if ending.has_result]
    return {track.id: track for name in with_result for track in stored_outcome(storage, job_id, name).tracks}
