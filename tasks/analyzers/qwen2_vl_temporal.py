"""What happens, second by second, in the words of a vision-language model (Qwen2-VL, Qwen2.5-VL or Qwen3-VL)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from shared.text import readable
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.descriptions import DESCRIBERS, Asked, Clip, Describer
from tasks.shots import shown_until

FPS = 4
PICTURES = Frames(fps=FPS, short_side=364)
PROMPT = (
    "Describe this short clip of a video. Answer with one JSON object and nothing else: "
    '{"description": "one sentence", "actions": ["what somebody does"], "change": "what differs from its first frame"}'
)
BEGUN = re.compile(r'\{[^{}]*?"description"\s*:\s*"((?:[^"\\]|\\.)*\\?)', re.DOTALL)
"""The beginning of an object up to the end of its description, or of the text."""
ESCAPED = '"\\/bfnrtu'
"""What JSON escapes with a backslash."""

Shown = tuple[float, NDArray[np.uint8]]
"""A frame and when it came."""


class TemporalOptions(Options):
    """What the model is asked, and how much it may say."""

    prompt: str = Field(PROMPT, max_length=2000, description="question for each segment")
    segment_seconds: float = Field(1.0, ge=0.5, le=30, description="length of a described segment")
    frames: int = Field(4, ge=2, le=16, description="frames shown of each segment")
    max_new_tokens: int = Field(96, ge=8, le=512, description="longest answer, in tokens")


class Description(Segment):
    """One segment as the model tells it.

    `change` is what differs from the last frame before the segment. When the answer was no whole JSON object with a
    description, `structured` is false, and `description` is what a cut object says of it, else the answer as it came.
    """

    description: str
    actions: tuple[str, ...] = ()
    change: str | None = None
    structured: bool


class Descriptions(TrackSet):
    """`segments`: at least one description for each second of video, by default; the model states no confidence.

    Where a picture stands for longer than a segment, segments show it alone, and what is said of it is said once.
    """

    segments: SegmentTrack[Description]


class Qwen2VlTemporal(Analyzer[TemporalOptions, Descriptions]):
    """Describes all segments of a video in as few batches as memory allows."""

    name = "qwen2_vl_temporal"
    version = 6
    group = "vlm"
    summary = "a description of every second, its actions and changes, by a vision-language model"
    needs = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"gpu": "qwen2-vl-7b"}
    cost = 0.3
    cost_in = {"gpu": 0.17}

    def load(self, model: ModelContext) -> None:
        """Load the describer that the weights are for."""
        self._describer: Describer = model.engine(DESCRIBERS)

    def analyze(self, media: Media, options: TemporalOptions) -> Descriptions:
        """Describe each segment that has a frame."""
        duration = media.info.duration_seconds
        segments: list[tuple[float, int]] = []
        asked_at: list[float] = []
        answers: list[str] = []

        def clips() -> Iterator[Clip]:
            for start, clip in clips_of(media, options.segment_seconds, options.frames):
                if clip is not None:
                    asked_at.append(start)
                    yield clip
                segments.append((start, len(asked_at) - 1))

        def check() -> None:
            media.progress(min(1.0, asked_at[len(answers) - 1] / duration) if answers else 0.0)

        asked = Asked(options.prompt, options.max_new_tokens)
        for batch in self._describer.describe(clips(), asked, check):
            answers.extend(batch)
            check()
        until = shown_until(media, PICTURES)
        described = (
            parsed(answers[clip], f"v{number}", start, min(start + options.segment_seconds, until))
            for number, (start, clip) in enumerate(segments, 1)
        )
        return Descriptions(segments=SegmentTrack(method="model", items=tuple(described)))


def clips_of(media: Media, seconds: float, count: int) -> Iterator[tuple[float, Clip | None]]:
    """Cut the video into segments; of each its start and `count` frames, evenly spread, the last one before it first.

    All have `count` frames, the same one several times where there are fewer, so that a batch needs no padding. None
    stands for the clip before it once more: one picture that is still there.
    """
    alone: float | None = None
    for start, shown in shown_in(media, seconds):
        times = [t for t, _ in shown]
        if len(times) == 1 and times[0] == alone:
            yield start, None
            continue
        alone = times[0] if len(times) == 1 else None
        chosen = np.linspace(0, len(shown) - 1, count).round().astype(int)
        yield start, Clip(np.array(times)[chosen], np.stack([shown[index][1] for index in chosen]))


def shown_in(media: Media, seconds: float) -> Iterator[tuple[float, list[Shown]]]:
    """Starts of the segments of a video, from its first frame on, and what each shows: the frame that was there before
    it, then its own.

    A last segment without frames of its own is left out when it is shorter than the distance of frames.
    """
    number, shown = -1, list[Shown]()
    for batch in media.frames(PICTURES):
        for t, frame in zip(batch.times.tolist(), batch.frames, strict=True):
            segment = int(t / seconds + 1e-6)
            while shown and number < segment:
                yield number * seconds, shown
                number, shown = number + 1, shown[-1:]
            number = segment
            shown.append((t, frame))
    end = shown_until(media, PICTURES) - 1 / FPS
    while shown:
        yield number * seconds, shown
        number, shown = number + 1, shown[-1:] if (number + 1) * seconds <= end else []


def parsed(answer: str, name: str, start: float, end: float) -> Description:
    """Read the first JSON object in an answer that has a description.

    Of an object that was cut or is broken the description alone is read; any other answer is taken as it is.
    """
    text = readable(answer)
    for brace in re.finditer(r"\{", text):
        if (found := _object(text, brace.start())) is not None:
            actions, change = found.get("actions"), found.get("change")
            return Description(
                id=name,
                start=start,
                end=end,
                description=readable(found["description"]),
                actions=tuple(filter(None, map(_words, actions if isinstance(actions, list) else [actions]))),
                change=_words(change) or None,
                structured=True,
            )
        if said := _begun(text, brace.start()):
            return Description(id=name, start=start, end=end, description=said, structured=False)
    return Description(id=name, start=start, end=end, description=text, structured=False)


def _words(value: object) -> str:
    """Text in a model's JSON; empty for anything else, which Python would spell in its own way: None, {'a': 1}."""
    return readable(value) if isinstance(value, str) else ""


def _object(text: str, at: int) -> dict[str, Any] | None:
    """The JSON object at a brace, None where it is none or describes nothing."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):  # also a number of 5000 digits, or 1000 brackets
        return None
    return found if isinstance(found, dict) and _words(found.get("description")) else None


def _begun(text: str, at: int) -> str:
    """The description in an object that is not whole, up to where it ends; empty where there is none."""
    if (found := BEGUN.match(text, at)) is None:
        return ""
    # half an escape at the cut says nothing, and models escape what JSON does not
    whole = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?$", "", found[1])
    plain = re.sub(r"\\(.)", lambda one: one[0] if one[1] in ESCAPED else one[1], whole, flags=re.DOTALL)
    try:
        said: str = json.loads(f'"{plain}"', strict=False)
    except ValueError:
        return ""
    return readable(said)
