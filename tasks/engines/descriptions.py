"""Answers to a question about short clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.engines import attention
from tasks.engines.base import pretrained
from tasks.engines.decoder import REHEARSED_TOKENS, Decoder, Prompt, WritingEngine, rules_of
from tasks.engines.prompts import refuse_marks
from tasks.models import Engine, EngineKind

TICKS = 1000
"""Frame numbers are given to transformers in milliseconds: its timestamps are then those of the frames."""

LONGEST = 150
"""Times its short side that a frame's long side may be; these models' processors refuse more than 200."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames in time order, uint8 rgb `(n, height, width, 3)`; `times` `(n,)` in seconds."""

    times: NDArray[np.float64]
    frames: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Asked:
    """The question about each clip, and the longest answer in tokens."""

    prompt: str
    max_new_tokens: int


class Describer(Engine, Protocol):
    """Answers a question about clips."""

    def describe(self, clips: Iterable[Clip], asked: Asked, check: Callable[[], None]) -> Iterator[list[str]]:
        """One answer for each clip, in order, a list for each batch; all clips of a call have one frame size.

        `check` is called for every token and ends the work by raising. Raises PromptRefused for a prompt that is too
        long or holds tokens of the model's own.
        """


class QwenVl(WritingEngine):
    """Qwen2-VL (Wang et al. 2024), Qwen2.5-VL (Bai et al. 2025) and Qwen3-VL (2025) in transformers."""

    # four frames of 364x820 are 754 tokens; with the default question and answer about 940
    capacity = 1024

    def load(self) -> None:
        """Load processor and model."""
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._torch: Any = torch
        self._processor: Any = AutoProcessor.from_pretrained(self.files.folder, local_files_only=True)
        # answers of a batch begin together, so the prompts are padded before their start
        self._processor.tokenizer.padding_side = "left"
        self._processor.video_processor.cap_pixels_per_frame = True
        parts = {"": "sdpa", "vision_config": "sdpa", "text_config": attention.register()}
        self.model = pretrained(AutoModelForImageTextToText, self.files, attn_implementation=parts)
        rules, dtype = rules_of(self.model.generation_config), self.model.get_input_embeddings().weight.dtype
        self.decoder = Decoder(self.files, self.model.config, dtype, self._step, rules)

    def describe(self, clips: Iterable[Clip], asked: Asked, check: Callable[[], None]) -> Iterator[list[str]]:
        """One answer for each clip, in order, a list for each batch."""
        refuse_marks(self._processor.tokenizer, asked.prompt, self.files.entry)
        return self.batches(clips, lambda batch: self._described(batch, asked, check))

    def probe(self, count: int) -> None:
        """Describe grey clips as a vertical video has them, at full length."""
        clip = Clip(np.arange(4) / 4, np.full((4, 644, 364, 3), 127, np.uint8))
        self._described([clip] * count, Asked("Describe this short clip of a video. " * 8, 96), lambda: None)

    def rehearse(self) -> None:
        """Describe an upright, a wide and a square clip, then as many clips as each recorded size has."""
        shapes = ((644, 364), (364, 644), (364, 364)) if self.files.device.is_gpu else ((364, 364),)
        clips = [Clip(np.arange(4) / 4, np.full((4, *shape, 3), 127, np.uint8)) for shape in shapes]
        asked = Asked("Describe this short clip of a video.", REHEARSED_TOKENS)
        for some in [[clip] for clip in clips] + [clips[:1] * size for size in self.decoder.recorded]:
            list(self.describe(some, asked, lambda: None))

    def _described(self, clips: Sequence[Clip], asked: Asked, check: Callable[[], None]) -> list[str]:
        spare = self.decoder.rows(len(clips), self.at_once) - len(clips)
        inputs = self._inputs([*clips, *[clips[-1]] * spare], asked.prompt)
        prompt = Prompt(inputs["input_ids"], inputs["attention_mask"])
        answers = self.decoder.answers(prompt, lambda cache: self._prefill(inputs, cache), asked.max_new_tokens, check)
        texts: list[str] = self._processor.batch_decode(answers[: len(clips)], skip_special_tokens=True)
        return texts

    def _inputs(self, clips: Sequence[Clip], question: str) -> Any:
        """The model's inputs: pixels on its device, the rest on the host, where positions are worked out."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        prompt = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        even = [evened(broadened(clip)) for clip in clips]
        frames = self._torch.from_numpy(np.concatenate([clip.frames for clip in even])).to(self.files.device.name)
        return self._processor(
            text=[prompt] * len(even),
            videos=list(frames.permute(0, 3, 1, 2).split([len(clip.frames) for clip in even])),
            video_metadata=[metadata(clip) for clip in even],
            do_sample_frames=False,
            input_data_format="channels_first",
            padding=True,
            return_tensors="pt",
        )

    def _prefill(self, inputs: Any, cache: Any) -> tuple[Any, Any]:
        device = self.files.device.name
        known = {
            name: inputs[name]
            for name in ("video_grid_thw", "mm_token_type_ids", "second_per_grid_ts")
            if name in inputs
        }
        mask = inputs["attention_mask"]
        positions, _ = self.model.model.get_rope_index(inputs["input_ids"], attention_mask=mask, **known)
        scores = self.model(
            input_ids=inputs["input_ids"].to(device),
            # without padding no mask is needed, and attention has its fastest kernels
            attention_mask=None if bool(mask.all()) else mask.to(device),
            position_ids=positions.to(device),
            pixel_values_videos=inputs["pixel_values_videos"].to(device),
            video_grid_thw=inputs["video_grid_thw"].to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        # the last token is text: its three coordinates are one number
        return scores, positions[0, :, -1:] + 1

    def _step(self, tokens: Any, positions: Any, mask: Any, cache: Any) -> Any:
        return self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions.expand(3, *positions.shape),
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]


def evened(clip: Clip) -> Clip:
    """The clip with its last frame twice when their number is odd: these models take frames in pairs."""
    if len(clip.times) % 2 == 0:
        return clip
    return Clip(np.append(clip.times, clip.times[-1]), np.concatenate([clip.frames, clip.frames[-1:]]))


def broadened(clip: Clip) -> Clip:
    """The clip with black margins beside frames that are longer than `LONGEST` times their short side."""
    height, width = clip.frames.shape[1:3]
    least = -(-max(height, width) // LONGEST)
    more = max(0, least - height), max(0, least - width)
    if not any(more):
        return clip
    margins = [(lack // 2, lack - lack // 2) for lack in more]
    return Clip(clip.times, np.pad(clip.frames, [(0, 0), *margins, (0, 0)]))


def metadata(clip: Clip) -> dict[str, object]:
    """Frame times as transformers wants them; without this it assumes 24 frames a second.

    Qwen3-VL writes `frames_indices / fps` into its prompt. Qwen2.5-VL takes the frames' distance to be
    `total_num_frames / fps / len(frames_indices)` seconds.
    """
    count, height, width, _ = clip.frames.shape
    since_first = clip.times - clip.times[0]
    ticks = max(1, round(since_first[-1] * count / (count - 1) * TICKS))
    return {
        "fps": float(TICKS),
        "total_num_frames": ticks,
        "duration": ticks / TICKS,
        "width": width,
        "height": height,
        "frames_indices": np.round(since_first * TICKS).astype(int).tolist(),
    }


DESCRIBERS: Mapping[str, EngineKind[Describer]] = {"qwen-vl": QwenVl}
