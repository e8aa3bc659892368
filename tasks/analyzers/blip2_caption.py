"""A caption for what is seen, by BLIP-2; captions of like frames are merged into spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from shared.text import encodable
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.captions import CAPTIONERS, Asked, Captioner
from tasks.shots import shown_until

PICTURES = Frames(fps=1, short_side=364)
DENYING = frozenset(("no", "not", "none", "nobody", "nothing", "never", "neither", "nor", "without", "cannot"))
"""One of these more or less, and a caption says something else, however many words are the same."""


class CaptionOptions(Options):
    """What the captioner is given, and how much it may say."""

    prompt: str = Field("a photo of", max_length=2000, description="beginning of the caption; the model goes on")
    max_new_tokens: int = Field(30, ge=5, le=100, description="longest caption, in tokens")
    alike: float = Field(0.7, ge=0, le=1, description="share of common words from which two captions are one")


class FrameCaption(Segment):
    """What is seen from the first of `frames` frames with like captions until the next one; `text` is the first's."""

    text: str
    frames: int


class FrameCaptions(TrackSet):
    """`captions`: spans of one or more sampled frames each; they tile what is shown, but for frames of which the model
    said nothing. It states no confidence.
    """

    captions: SegmentTrack[FrameCaption]


class Blip2Caption(Analyzer[CaptionOptions, FrameCaptions]):
    """Captions one frame a second in batches."""

    name = "blip2_caption"
    version = 3
    group = "caption"
    summary = "a caption for every second, like ones merged into spans (BLIP-2)"
    needs = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"gpu": "blip2-opt-2.7b"}
    cost = 0.1
    cost_in = {"gpu": 0.032}

    def load(self, model: ModelContext) -> None:
        """Load the captioner that the weights are for."""
        self._captioner: Captioner = model.engine(CAPTIONERS)

    def analyze(self, media: Media, options: CaptionOptions) -> FrameCaptions:
        """Caption every sampled frame, then merge."""
        duration = media.info.duration_seconds
        times: list[float] = []

        def pictures() -> Iterator[NDArray[np.uint8]]:
            for batch in media.frames(PICTURES):
                times.extend(batch.times.tolist())
                yield from batch.frames

        texts: list[str] = []

        def check() -> None:
            media.progress(min(1.0, times[len(texts) - 1] / duration) if texts else 0.0)

        for answers in self._captioner.captions(pictures(), Asked(options.prompt, options.max_new_tokens), check):
            texts.extend(map(encodable, answers))
            check()
        seen = list(zip(times, texts, strict=True))
        return FrameCaptions(
            captions=SegmentTrack(method="model", items=merged(seen, shown_until(media, PICTURES), options.alike))
        )


def merged(seen: list[tuple[float, str]], duration: float, alike: float) -> tuple[FrameCaption, ...]:
    """Join captions `(seconds, text)` to the span before when enough of the words are its words.

    A frame of which the model said nothing ends the span before it and begins none.
    """
    spans: list[tuple[float, str, int]] = []
    for t, text in seen:
        if spans and _likeness(spans[-1][1], text) >= alike:
            start, first, frames = spans[-1]
            spans[-1] = (start, first, frames + 1)
        else:
            spans.append((t, text, 1))
    ends = [start for start, _, _ in spans[1:]] + [max(duration, seen[-1][0])] if seen else []
    said = [(*span, end) for span, end in zip(spans, ends, strict=True) if span[1]]
    return tuple(
        FrameCaption(id=f"k{number}", start=start, end=end, text=text, frames=frames)
        for number, (start, text, frames, end) in enumerate(said, 1)
    )


def _likeness(one: str, other: str) -> float:
    """Jaccard index of the two captions' words; none where one of them denies something that the other does not."""
    words, others = _words(one), _words(other)
    if not words | others:
        return float(one == other)
    return 0.0 if words & DENYING != others & DENYING else len(words & others) / len(words | others)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"n['\u2019]t\b", " not", text.lower())))
