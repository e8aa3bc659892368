"""Clips that packages carry, and what is known of them: by the files beside them, or seen frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from services.demo import Seen, Span
from services.evaluation.truth import KnownFace, ReelTruth
from services.pulls import shown_pull
from shared.settings import settings
from shared.weights import Weights

PINS = files("services.evaluation") / "packaged.toml"
TALK_SECONDS = 4.004
"""Length of both clips of the man in the car."""

Place = Callable[[str, str], Path]
"""The checked file of an entry, as `Weights.path` gives it."""


def pulled() -> dict[Path, ReelTruth]:
    """The clips, pulled where they are not here yet, and the truth of each."""
    clips = Weights(settings().data_dir / "eval" / "clips", PINS)
    with shown_pull() as report:
        clips.pull(clips.entries(), report=report)
    return known(clips.path)


def known(path: Place) -> dict[Path, ReelTruth]:
    """The clips at their places, and what is true of each.

    Cuts are where neighbouring frames of bikes.mp4 differ by more than 50 of 255 levels in the mean, and by less than
    22 everywhere else; persons, cars and faces were looked at.
    """
    man = ReelTruth(
        cuts_seconds=(),
        dissolves=(),
        objects=(Seen(label="person", start=0, end=TALK_SECONDS),),
        faces=(KnownFace(start=0, end=TALK_SECONDS),),
    )
    street = ReelTruth(
        cuts_seconds=(1.2, 3.04, 5.48, 7.48, 9.68),
        dissolves=(),
        objects=(Seen(label="person", start=4.28, end=5.48), Seen(label="car", start=5.52, end=7.48)),
    )
    call = ReelTruth(
        spoken=spoken(path("call", "sample.rttm").read_text(encoding="utf-8")),
        transcript=transcript(path("call", "sample.stm").read_text(encoding="utf-8")),
    )
    return {
        path("bikes", "bikes.mp4"): street,
        path("bunny", "bigbuckbunny.mp4"): ReelTruth(cuts_seconds=(), dissolves=()),
        path("carphone", "carphone_pristine.mp4"): man,
        path("carphone", "carphone_distorted.mp4"): man,
        path("call", "sample.wav"): call,
    }


def spoken(rttm: str) -> tuple[Span, ...]:
    """When anybody speaks, by NIST's Rich Transcription Time Marked: turns that overlap or touch are one span."""
    turns = sorted(
        (float(start), float(start) + float(length))
        for kind, _, _, start, length, *_ in (line.split() for line in rttm.splitlines() if line)
        if kind == "SPEAKER"
    )
    spans: list[tuple[float, float]] = []
    for start, end in turns:
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return tuple(Span(start=round(start, 3), end=round(end, 3)) for start, end in spans)


def transcript(stm: str) -> str:
    """The words of NIST's segment time marked text: file, channel, speaker, start, end, words."""
    return " ".join(line.split(maxsplit=5)[5] for line in stm.splitlines() if line)
