"""What happens, second by second, in the words of a vision-language model (Qwen2-VL, Qwen2.5-VL or Qwen3-VL)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Segment, SegmentTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options

FPS = 4
PICTURES = Frames(fps=FPS, short_side=364)
PROMPT = (
    "Describe this short clip of a video. Answer with one JSON object and nothing else: "
    '{"description": "one sentence", "actions": ["what somebody does"], "change": "what differs from its first frame"}'
)


class TemporalOptions(Options):
    """What the model is asked, and how much it may say."""

    prompt: str = Field(PROMPT, description="question for each segment")
    segment_seconds: float = Field(1.0, ge=0.5, le=30, description="length of a described segment")
    frames: int = Field(4, ge=2, le=16, description="frames shown of each segment")
    max_new_tokens: int = Field(96, ge=8, le=512, description="longest answer, in tokens")
    batch: int = Field(10, ge=1, le=64, description="segments described at once")


class Description(Segment):
    """One segment as the model tells it.

    `change` is what differs from the last frame before the segment. When the answer was no JSON, `structured` is false
    and `description` is the answer as it came.
    """

    description: str
    actions: tuple[str, ...] = ()
    change: str | None = None
    structured: bool


class Descriptions(TrackSet):
    """`segments`: at least one description for each second of video, by default; the model states no confidence."""

    segments: SegmentTrack[Description]


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one segment, uint8 `(n, height, width, 3)`, the last one before it first; `times` in seconds."""

    start: float
    end: float
    times: NDArray[np.float64]
    frames: NDArray[np.uint8]


class Qwen2VlTemporal(Analyzer[TemporalOptions, Descriptions]):
    """Describes all segments of a video in as few batches as the option allows."""

    name = "qwen2_vl_temporal"
    version = 1
    group = "vlm"
    summary = "a description of every second, its actions and changes, by a vision-language model"
    needs = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"gpu": "qwen2-vl-7b"}
    cost = 0.3

    def load(self, model: ModelContext) -> None:
        """Load processor and model from the weights folder; bf16 on a GPU."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = Path(model.path("config.json")).parent
        device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
        self._torch: Any = torch
        self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        # answers of a batch must end together, so the prompts are padded before their start
        self._processor.tokenizer.padding_side = "left"
        self._processor.video_processor.cap_pixels_per_frame = True
        self._model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, local_files_only=True)
        self._model.to(device).eval()

    def analyze(self, media: Media, options: TemporalOptions) -> Descriptions:
        """Describe each segment that has a frame."""
        duration = media.info.duration_seconds
        clips = clips_of(media, options.segment_seconds, options.frames)
        described: list[Description] = []
        while batch := list(islice(clips, options.batch)):
            for clip, answer in zip(batch, self._answers(batch, options), strict=True):
                described.append(parsed(answer, f"v{len(described) + 1}", clip.start, min(clip.end, duration)))
            media.progress(min(1.0, batch[-1].end / duration))
        return Descriptions(segments=SegmentTrack(method="model", items=tuple(described)))

    def _answers(self, clips: list[Clip], options: TemporalOptions) -> list[str]:
        content = [{"type": "video"}, {"type": "text", "text": options.prompt}]
        prompt = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self._processor(
            text=[prompt] * len(clips),
            videos=[clip.frames for clip in clips],
            video_metadata=[_metadata(clip) for clip in clips],
            do_sample_frames=False,
            padding=True,
            return_tensors="pt",
        ).to(self._model.device)
        with self._torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=options.max_new_tokens, do_sample=False)
        answers: list[str] = self._processor.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return answers


def _metadata(clip: Clip) -> dict[str, object]:
    """Frame times as transformers wants them; without this it assumes 24 frames a second."""
    _, height, width, _ = clip.frames.shape
    indices = np.round((clip.times - clip.times[0]) * FPS).astype(int).tolist()
    return {
        "fps": float(FPS),
        "total_num_frames": indices[-1] + 1,
        "duration": (indices[-1] + 1) / FPS,
        "width": width,
        "height": height,
        "frames_indices": indices,
    }


def clips_of(media: Media, seconds: float, count: int) -> Iterator[Clip]:
    """Cut the frames into segments; of each, `count` frames evenly spread, from the last one before it on."""
    before: tuple[float, NDArray[np.uint8]] | None = None
    times: list[float] = []
    frames: list[NDArray[np.uint8]] = []
    number = 0

    def clip() -> Clip:
        shown = ([before[0]] if before else []) + times, ([before[1]] if before else []) + frames
        chosen = np.unique(np.linspace(0, len(shown[0]) - 1, count).round().astype(int))
        return Clip(
            number * seconds,
            (number + 1) * seconds,
            np.array(shown[0])[chosen],
            np.stack([shown[1][index] for index in chosen]),
        )

    for batch in media.frames(PICTURES):
        for t, frame in zip(batch.times.tolist(), batch.frames, strict=True):
            if times and int(t / seconds + 1e-6) != number:
                yield clip()
                before, times, frames = (times[-1], frames[-1]), [], []
            number = int(t / seconds + 1e-6)
            times.append(t)
            frames.append(frame)
    if times:
        yield clip()


def parsed(answer: str, name: str, start: float, end: float) -> Description:
    """Read the first JSON object in an answer; an answer without one is taken as it is."""
    text = answer.strip()
    found: object = None
    if "{" in text:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
        except json.JSONDecodeError:
            found = None
    if not isinstance(found, dict) or not isinstance(found.get("description"), str):
        return Description(id=name, start=start, end=end, description=text, structured=False)
    actions, change = found.get("actions"), found.get("change")
    return Description(
        id=name,
        start=start,
        end=end,
        description=found["description"].strip(),
        actions=tuple(str(action) for action in actions) if isinstance(actions, list) else (),
        change=change if isinstance(change, str) else None,
        structured=True,
    )
