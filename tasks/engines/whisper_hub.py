"""Whisper in transformers: windows in batches, word times from its cross-attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from tasks.engines.base import pretrained
from tasks.engines.utterances import (
    UNSPACED,
    WINDOW_SECONDS,
    Asked,
    Part,
    Piece,
    Stretch,
    Window,
    WindowedTranscriber,
    Written,
)
from tasks.engines.word_times import FRAME_SECONDS, Floats, followed, token_times, words_of
from tasks.voice import SAMPLE_RATE

MAX_TOKENS = 224
"""Of one window, as in openai-whisper: half of what the decoder can hold."""
LOUDNESS_RANGE, LOUDNESS_OFFSET = 8.0, 4.0
"""Of the log mel spectrogram, in powers of ten (openai-whisper's `audio.py`)."""


class HubTranscriber(WindowedTranscriber):
    """Any Whisper that transformers reads; greedy unless asked for beams."""

    cpu_batch: ClassVar[int] = 2

    def load(self) -> None:
        """Load processor and model."""
        import torch
        from transformers import GenerationConfig, GenerationMixin, WhisperForConditionalGeneration, WhisperProcessor

        self._torch: Any = torch
        self._generate: Any = GenerationMixin.generate
        self._search: Any = GenerationConfig
        processor: Any = WhisperProcessor.from_pretrained(self.files.folder, local_files_only=True)
        self._tokenizer: Any = processor.tokenizer
        self._features: Any = processor.feature_extractor
        self.model = pretrained(WhisperForConditionalGeneration, self.files)
        self._config: Any = self.model.generation_config
        device = self.model.device
        self._mel: Any = torch.as_tensor(self._features.mel_filters.T, dtype=torch.float32, device=device)
        self._taper: Any = torch.hann_window(self._features.n_fft, device=device)

    def languages(self, window: Window) -> Mapping[str, float] | None:
        """Probability of each language, of the first token that the decoder writes."""
        if not getattr(self._config, "is_multilingual", False):
            return None
        codes = {name.strip("<|>"): token for name, token in self._config.lang_to_id.items()}
        start = self._torch.tensor([[self._config.decoder_start_token_id]], device=self.model.device)
        with self._torch.inference_mode():
            logits = self.model(encoder_outputs=self._encoded([window]), decoder_input_ids=start).logits[0, -1].float()
            found = logits[list(codes.values())].softmax(-1).tolist()
        return dict(zip(codes, found, strict=True))

    def probe(self, count: int) -> None:
        """Write down noise, then align as many tokens as there may be."""
        noise = np.random.default_rng(0).normal(0, 0.05, round(WINDOW_SECONDS * SAMPLE_RATE)).astype(np.float32)
        stretch = Stretch(0.0, noise, [(0.0, WINDOW_SECONDS)])
        full = [Window(stretch, (Piece(0.0, 0.0, WINDOW_SECONDS),))] * count
        with self._torch.inference_mode():
            encoded = self._encoded(full)
            start = self._start("en" if getattr(self._config, "is_multilingual", False) else None)
            self._tokens(encoded, start, Asked(), at_most=8)
            self._aligned(full, encoded, start, [[self._config.eos_token_id - 1] * self._room(start)] * count)

    def written(self, windows: Sequence[Window], asked: Asked) -> Sequence[Written]:
        """What is said in each window."""
        start = self._start(asked.language)
        with self._torch.inference_mode():
            encoded = self._encoded(windows)
            tokens = self._tokens(encoded, start, asked, at_most=self._room(start))
            aligned = self._aligned(windows, encoded, start, tokens)
        spaced = asked.language not in UNSPACED
        return [self._parts(said, *scores, spaced=spaced) for said, scores in zip(tokens, aligned, strict=True)]

    def _start(self, language: str | None) -> list[int]:
        """What the decoder is given to begin with."""
        tokens = [self._config.decoder_start_token_id]
        if language is not None:
            tokens += [self._config.lang_to_id[f"<|{language}|>"], self._config.task_to_id["transcribe"]]
        return [*tokens, self._config.no_timestamps_token_id]

    def _room(self, start: Sequence[int]) -> int:
        return min(MAX_TOKENS, int(self.model.config.max_target_positions) - len(start) - 1)

    def _encoded(self, windows: Sequence[Window]) -> Any:
        """The encoder's output `(n, 1500, channels)`, wrapped as the model takes it."""
        sound = self._torch.from_numpy(np.stack([window.samples() for window in windows])).to(self.model.device)
        return self.model.get_encoder()(self.log_mel(sound).to(self.model.dtype))

    def log_mel(self, sound: Any) -> Any:
        """Whisper's log mel spectrogram `(n, bands, 3000)` of samples `(n, 480000)`, on their device."""
        features = self._features
        spectrum = self._torch.stft(sound, features.n_fft, features.hop_length, window=self._taper, return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        bands = (self._mel @ power).clamp(min=1e-10).log10()
        bands = bands.maximum(bands.amax(dim=(1, 2), keepdim=True) - LOUDNESS_RANGE)
        return (bands + LOUDNESS_OFFSET) / LOUDNESS_OFFSET

    def _tokens(self, encoded: Any, start: Sequence[int], asked: Asked, *, at_most: int) -> list[list[int]]:
        """The text of each window, special tokens left out.

        The general search of transformers, not Whisper's own: that one encodes again, seeks, and tries again at random.
        """
        count = len(encoded.last_hidden_state)
        begun = self._torch.tensor([start] * count, device=self.model.device)
        known, end = self._config, self._config.eos_token_id
        search = self._search(
            max_new_tokens=at_most,
            num_beams=asked.beams or 1,
            do_sample=False,
            suppress_tokens=known.suppress_tokens,
            begin_suppress_tokens=known.begin_suppress_tokens,
            decoder_start_token_id=known.decoder_start_token_id,
            eos_token_id=end,
            pad_token_id=end,
        )
        found = self._generate(
            self.model,
            encoder_outputs=encoded,
            decoder_input_ids=begun,
            attention_mask=self._torch.ones(encoded.last_hidden_state.shape[:2], device=self.model.device),
            generation_config=search,
            logits_processor=[self._only_text],
        )
        rows = found[:, len(start) :].tolist()
        return [row[: row.index(end)] if end in row else row for row in rows]

    def _only_text(self, _tokens: Any, logits: Any) -> Any:
        """Forbid what follows the end token in the vocabulary: languages, tasks, times."""
        logits[:, self._config.eos_token_id + 1 :] = -float("inf")
        return logits

    def _aligned(
        self, windows: Sequence[Window], encoded: Any, start: Sequence[int], tokens: Sequence[Sequence[int]]
    ) -> list[tuple[Floats, list[float], float]]:
        """For each window the times of its tokens, their log probabilities, and the probability of no speech."""
        end = self._config.eos_token_id
        longest = max(len(said) for said in tokens)
        rows = [[*start, *said, *[end] * (longest + 1 - len(said))] for said in tokens]
        shown = self._torch.tensor(rows, device=self.model.device)
        with self._watched() as seen:
            logits = self.model(encoder_outputs=encoded, decoder_input_ids=shown, use_cache=False).logits
        fits, sure, silent = [], [], []
        for row, (window, said) in enumerate(zip(windows, tokens, strict=True)):
            frames = max(1, round(window.seconds / FRAME_SECONDS))
            scores = self._torch.cat([heads(row, len(start) + len(said) + 1, frames) for heads in seen])
            fits.append(followed(scores, self._torch)[len(start) - 1 : -1])
            likely = logits[row, len(start) - 1 : len(start) - 1 + len(said)].float().log_softmax(-1)
            sure.append(likely.gather(-1, shown[row, len(start) : len(start) + len(said), None])[:, 0])
            silent.append(logits[row, 0].float().softmax(-1)[self._config.no_timestamps_token_id - 1])
        flat = self._torch.cat([one.flatten() for one in (*fits, *sure)] + [self._torch.stack(silent)]).cpu().numpy()
        cut = np.split(flat, np.cumsum([one.numel() for one in (*fits, *sure)]))
        times = [token_times(one.reshape(fit.shape)) for one, fit in zip(cut, fits, strict=False)]
        return list(zip(times, (one.tolist() for one in cut[len(fits) : -1]), cut[-1].tolist(), strict=True))

    @contextmanager
    def _watched(self) -> Iterator[list[Any]]:
        """Collect, from each layer with heads that follow the sound, what gives their attention of a row.

        Taken from queries and keys: fast attention kernels keep no weights.
        """
        layers = self.model.model.decoder.layers
        chosen: dict[int, list[int]] = {}
        for layer, head in getattr(self._config, "alignment_heads", None) or _later_heads(layers):
            chosen.setdefault(layer, []).append(head)
        seen: list[Any] = []
        hooks = []
        for number, heads in chosen.items():
            attention, kept = layers[number].encoder_attn, dict[str, Any]()
            for name in ("q_proj", "k_proj"):
                hook = _keep(kept, name)
                hooks.append(getattr(attention, name).register_forward_hook(hook))
            seen.append(_Attention(kept, heads, int(attention.num_heads)))
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def _parts(
        self, tokens: Sequence[int], times: Floats, sure: Sequence[float], silent: float, *, spaced: bool
    ) -> Written:
        found = []
        for text, first, last, spoken in words_of(tokens, self._decoded, spaced=spaced):
            logs = np.asarray(sure[first:last])
            start, end = float(times[first]), float(times[spoken])
            found.append(Part(text, start, end, float(np.exp(logs).mean()), float(logs.mean())))
        return Written(tuple(found), silent)

    def _decoded(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Attention:
    """Raw attention of some heads of one layer, for one row of a batch at a time."""

    def __init__(self, kept: dict[str, Any], heads: list[int], all_heads: int) -> None:
        self._kept, self._heads, self._all = kept, heads, all_heads

    def __call__(self, row: int, tokens: int, frames: int) -> Any:
        """`(heads, tokens, frames)`."""
        queries, keys = (self._kept[name][row].unflatten(-1, (self._all, -1)) for name in ("q_proj", "k_proj"))
        queries, keys = queries[:tokens, self._heads].transpose(0, 1), keys[:frames, self._heads].permute(1, 2, 0)
        return (queries.float() @ keys.float()) / queries.shape[-1] ** 0.5


def _keep(kept: dict[str, Any], name: str) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        kept[name] = output

    return hook


def _later_heads(layers: Any) -> list[tuple[int, int]]:
    """All heads of the second half of the layers, as openai-whisper takes where nobody has chosen."""
    return [
        (number, head)
        for number in range(len(layers) // 2, len(layers))
        for head in range(layers[number].encoder_attn.num_heads)
    ]
