"""A caption for what is seen, by BLIP-2; captions of like frames are merged into spans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options

PICTURES = Frames(fps=1, short_side=364)


class CaptionOptions(Options):
    """What the captioner is given, and how much it may say."""

    prompt: str = Field("a photo of", description="beginning of the caption; the model goes on from it")
    max_new_tokens: int = Field(30, ge=5, le=100, description="longest caption, in tokens")
    batch: int = Field(16, ge=1, le=64, description="frames captioned at once")
    alike: float = Field(0.7, ge=0, le=1, description="share of common words from which two captions are one")


class FrameCaption(Segment):
    """What is seen from the first of `frames` frames with like captions until the next one; `text` is the first's."""

    text: str
    frames: int


class FrameCaptions(TrackSet):
    """`captions`: spans that tile the video, one or more sampled frames each; the model states no confidence."""

    captions: SegmentTrack[FrameCaption]


class Blip2Caption(Analyzer[CaptionOptions, FrameCaptions]):
    """Captions one frame a second in batches."""

    name = "blip2_caption"
    version = 1
    group = "caption"
    summary = "a caption for every second, like ones merged into spans (BLIP-2)"
    needs = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"gpu": "blip2-opt-2.7b"}
    cost = 0.1

    def load(self, model: ModelContext) -> None:
        """Load processor and model from the weights folder; bf16 on a GPU."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = Path(model.path("config.json")).parent
        device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
        self._torch: Any = torch
        self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, local_files_only=True)
        self._model.to(device).eval()

    def analyze(self, media: Media, options: CaptionOptions) -> FrameCaptions:
        """Caption every sampled frame, then merge."""
        seen: list[tuple[float, str]] = []
        duration = media.info.duration_seconds
        for batch in media.frames(PICTURES, batch=options.batch):
            seen.extend(zip(batch.times.tolist(), self._captions(batch.frames, options), strict=True))
            media.progress(min(1.0, seen[-1][0] / duration))
        return FrameCaptions(captions=SegmentTrack(method="model", items=merged(seen, duration, options.alike)))

    def _captions(self, frames: NDArray[np.uint8], options: CaptionOptions) -> list[str]:
        """One caption for each frame of `(n, height, width, 3)`."""
        inputs = self._processor(
            images=list(frames), text=[options.prompt] * len(frames), padding=True, return_tensors="pt"
        ).to(self._model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=options.max_new_tokens, do_sample=False)
        answers = self._processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [answer.strip() for answer in answers]


def merged(seen: list[tuple[float, str]], duration: float, alike: float) -> tuple[FrameCaption, ...]:
    """Join captions `(seconds, text)` to the span before when enough of the words are its words."""
    spans: list[tuple[float, str, int]] = []
    for t, text in seen:
        if spans and _likeness(spans[-1][1], text) >= alike:
            start, first, frames = spans[-1]
            spans[-1] = (start, first, frames + 1)
        else:
            spans.append((t, text, 1))
    ends = [start for start, _, _ in spans[1:]] + [max(duration, seen[-1][0])] if seen else []
    return tuple(
        FrameCaption(id=f"k{number}", start=start, end=end, text=text, frames=frames)
        for number, ((start, text, frames), end) in enumerate(zip(spans, ends, strict=True), 1)
    )


def _likeness(one: str, other: str) -> float:
    """Jaccard index of the two captions' words."""
    words, others = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return len(words & others) / len(words | others) if words | others else 1.0
