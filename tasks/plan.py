"""Planning a job: which analyzers in which levels, what is known already, which renditions, how much time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.frames import Audio, Frames, Rendition
from shared.schema import ErrorInfo, MediaInfo, OptionValue, Status
from shared.tables import Job
from tasks.deadline import Economy
from tasks.registry import AnyAnalyzer, dependencies, has_what_it_needs, levels

SLACK = 20.0  # a loaded machine was seen to be this many times slower than the measured cost at worst
LEAST_SECONDS = 60.0
LATE_SECONDS = 1.0  # the limit when the deadline is here: Celery takes 0 for none at all
GRACE_SECONDS = 15.0  # between the soft limit, which ends in an outcome, and the hard one, which kills

SWITCHED_OFF = "switched off here, because it profiles people (REELGRAPH_INFER_PERSONAL_TRAITS=false)"

OptionsByAnalyzer = Mapping[str, Mapping[str, OptionValue]]


class Plan(BaseModel):
    """What a job is going to do. Stored with the job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: tuple[tuple[str, ...], ...]
    limits: dict[str, float]
    """Soft time limit in seconds by analyzer, decoding included."""
    frames: dict[str, Frames]
    """What the frame store has room for, by the key of what was asked for."""
    audio: dict[str, Audio]
    slower: dict[str, str] = {}
    """Why an analyzer sees fewer pictures than it asks for, where the deadline is the reason."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: Job) -> Self:
        """The plan of a job that has one. What a newer version adds is passed over, as in `Job.video`."""
        return cls.model_validate(job.plan, extra="ignore")

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        """All renditions that one decode pass has to write."""
        return tuple(dict.fromkeys((*self.frames.values(), *self.audio.values())))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an analyzer does not have to run."""

    status: Status
    error: ErrorInfo


def refused(
    analyzer: AnyAnalyzer, profile: str, media: MediaInfo, *, infer_personal_traits: bool = True
) -> Refused | None:
    """Why an analyzer cannot or may not look at this video in this profile, or None."""
    if analyzer.infers_personal_traits and not infer_personal_traits:
        return Refused("unavailable", ErrorInfo(code="switched_off", message=SWITCHED_OFF))
    if not has_what_it_needs(analyzer, profile):
        other, entry = min((name, entry) for name, entry in analyzer.weights.items() if entry is not None)
        message = (
            f"no weights for the {profile} profile can be shipped; it runs with `--profile {other}`, whose weights "
            f"`reelgraph models pull {entry}` brings once they are locked"
        )
        return Refused("unavailable", ErrorInfo(code="not_in_profile", message=message))
    needs = analyzer.reads(profile)
    if any(isinstance(need, Frames) for need in needs) and not media.has_video:
        return Refused("skipped", ErrorInfo(code="no_video", message="the file has no video stream"))
    if any(isinstance(need, Audio) for need in needs) and not media.has_audio:
        return Refused("skipped", ErrorInfo(code="no_audio", message="the file has no audio stream"))
    return None


def fingerprint(
    analyzer: AnyAnalyzer,
    *,
    video_sha256: str,
    weights: str | None,
    precision: str,
    options: Mapping[str, OptionValue],
    renditions: Iterable[str],
    inputs: Mapping[str, str | None],
) -> str:
    """What an outcome depends on, as a sha256: the same fingerprint means the same result.

    `precision` is the one asked for: what `auto` chooses is known to the process that loads, and told in the receipt.
    `inputs` holds the fingerprints of the outcomes it read, None for those that brought no result.
    """
    facts: dict[str, Any] = {
        "video": video_sha256,
        "analyzer": analyzer.name,
        "version": analyzer.version,
        "weights": weights,
        "options": analyzer.options.model_validate(dict(options)).model_dump(mode="json"),
        "renditions": sorted(renditions),
        "inputs": {name: inputs.get(name) for name in sorted(dependencies(analyzer))},
    }
    if weights is not None:
        facts["precision"] = precision
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def plan(
    chosen: Iterable[AnyAnalyzer],
    *,
    profile: str,
    media: MediaInfo,
    remaining_seconds: float,
    economy: Economy,
    notes: tuple[str, ...] = (),
) -> Plan:
    """The plan for the analyzers that have to run.

    `economy` says what of these and others the deadline has time for; `notes` come before its own.
    """
    chosen = tuple(one for one in chosen if one.name not in economy.left_out)
    duration = media.duration_seconds
    most = max(LATE_SECONDS, remaining_seconds)
    costs, fitted = {one.name: economy.costs[one.name] for one in chosen}, economy.renditions
    limits = {name: min(max(LEAST_SECONDS, cost * duration * SLACK + duration), most) for name, cost in costs.items()}
    given = {need.key: fitted[need] for one in chosen for need in one.reads(profile) if need in fitted}
    return Plan(
        levels=tuple(tuple(analyzer.name for analyzer in level) for level in levels(chosen, costs)),
        limits=limits,
        frames={key: one for key, one in given.items() if isinstance(one, Frames)},
        audio={key: one for key, one in given.items() if isinstance(one, Audio)},
        slower=economy.slower,
        notes=(*notes, *economy.notes),
    )


def measured(chosen: Iterable[AnyAnalyzer], profile: str, options: OptionsByAnalyzer) -> dict[str, float]:
    """Seconds per second of video that these analyzers take in a profile with these options, by name."""
    return {
        one.name: one.seconds_per_second(profile, one.options.model_validate(dict(options.get(one.name, {}))))
        for one in chosen
    }


def wanted(chosen: Iterable[AnyAnalyzer], profile: str, media: MediaInfo) -> tuple[Rendition, ...]:
    """The renditions that these analyzers ask for in the profile and the video can give."""
    needs = dict.fromkeys(need for analyzer in chosen for need in analyzer.reads(profile))
    return tuple(need for need in needs if (media.has_video if isinstance(need, Frames) else media.has_audio))
