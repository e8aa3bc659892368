"""Greedy decoding of a batch in place, so that the step for one token can be recorded and replayed.

transformers' own loop prepares every token anew and waits for the GPU after it: on an H100, 20 answers of 96 tokens by
Qwen2-VL 7B took 3.2 s, of which reading the weights is 0.5 s. Here all that changes from token to token is in tensors
that stay where they are, and the host looks at the answers every `LOOK_EVERY` tokens only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, ClassVar, Protocol

from shared.log import logger
from tasks import devices
from tasks.devices import NotRecorded
from tasks.engines.base import TorchEngine
from tasks.engines.prompts import PromptRefused
from tasks.models import Weighted

LOOK_EVERY = 8
"""Tokens between two looks at whether all rows have ended; each look waits for the GPU."""
REHEARSED_TOKENS = LOOK_EVERY + 2
"""Of an answer that a warm-up writes: one look is among them."""
ALIGNED = 64
"""Lengths of caches are multiples of this: fast attention kernels want an aligned mask."""
COMPILED_PRECISIONS = ("fp32", "bf16")
"""bitsandbytes decides on the host what it launches, which cannot be recorded."""

log = logger(__name__)


class Prefill(Protocol):
    """Puts the prompts through the model, into an empty cache."""

    def __call__(self, cache: Any) -> tuple[Any, Any]:
        """Scores of the next token `(rows, vocabulary)`, and its position `(rows, 1)`."""


class Step(Protocol):
    """Puts one token of each row through the model."""

    def __call__(self, tokens: Any, positions: Any, mask: Any, cache: Any) -> Any:
        """Scores `(rows, vocabulary)` after `tokens` at `positions`, both `(rows, 1)`.

        `mask` `(rows, 1, 1, capacity)` is added to the attention's scores.
        """


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens `(rows, length)`, padded at their start, and where they are no padding (1, else 0); on the host."""

    tokens: Any
    attended: Any


@dataclass(frozen=True, slots=True)
class Rules:
    """What the checkpoint says about writing: tokens that end an answer, and how often said tokens are held back.

    `penalty` as in CTRL (Keskar et al. 2019); 1 holds nothing back.
    """

    ends: tuple[int, ...]
    penalty: float = 1.0


def rules_of(generation_config: Any) -> Rules:
    """The rules in a model's `generation_config`."""
    ends = generation_config.eos_token_id
    return Rules(tuple(ends) if isinstance(ends, list) else (ends,), generation_config.repetition_penalty or 1.0)


class Slot:
    """Room for `rows` answers: cache, and all that a step reads and writes. Made in inference mode."""

    def __init__(self, cache: Any, rows: int, capacity: int, device: str, dtype: Any) -> None:
        import torch

        self.torch: Any = torch
        self.rows, self.capacity, self.cache = rows, capacity, cache
        self.tokens = torch.zeros((rows, capacity), dtype=torch.long, device=device)
        self.mask = torch.zeros((rows, 1, 1, capacity), dtype=dtype, device=device)
        self.now = torch.zeros((rows, 1), dtype=torch.long, device=device)
        self.positions = torch.zeros((rows, 1), dtype=torch.long, device=device)
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.said: Any = None
        self.step: Callable[[], None] | None = None
        """The recorded step; None in a slot that is used once."""

    def begin(self, prompt: Prompt, end: int) -> None:
        """Empty the cache and put in the prompts."""
        length = prompt.tokens.shape[1]
        self.cache.reset()
        self.tokens.fill_(end)
        self.tokens[:, :length] = prompt.tokens
        self.mask.fill_(self.torch.finfo(self.mask.dtype).min)
        attended = prompt.attended.to(self.mask.device).bool()
        self.mask[:, 0, 0, :length].masked_fill_(attended, 0)
        self.at.fill_(length)
        if self.said is not None:
            self.said.zero_()
            # padding is no word of the prompt: the last column, which nobody says, takes its place
            words = self.tokens[:, :length].masked_fill(~attended, self.said.shape[1] - 1)
            self.said.scatter_(1, words, True)  # noqa: FBT003  (torch takes it by position)


class Decoder:
    """Writes the answers of one model."""

    def __init__(self, files: Weighted, config: Any, dtype: Any, step: Step, rules: Rules) -> None:
        import torch

        self._torch: Any = torch
        self.dtype = dtype
        """Format of what goes into the model, whatever its weights are held in."""
        self._files, self._config = files, config.get_text_config(decoder=True)
        self._step, self._rules = step, rules
        self._slots: dict[int, Slot] = {}
        self._ends = torch.tensor(rules.ends, device=files.device.name)

    def compile(self, sizes: Sequence[int], capacity: int) -> None:
        """Record the step for batches of these sizes, prompt and answer together up to `capacity` tokens."""
        capacity = _aligned(capacity)
        with self._torch.inference_mode():
            for rows in sorted(sizes, reverse=True):
                slot = self._new_slot(rows, capacity, self._slots.get(max(sizes)))
                slot.step = devices.recorded(self._files.device, partial(self._advance, slot))
                self._slots[rows] = slot
                log.info("compiled", entry=self._files.entry, batch=rows, tokens=capacity)

    @property
    def recorded(self) -> tuple[int, ...]:
        """The batch sizes for which the step is recorded."""
        return tuple(sorted(self._slots))

    def forget(self) -> None:
        """Let go of all recordings and their caches."""
        self._slots.clear()

    def rows(self, count: int, most: int) -> int:
        """How many rows a batch of `count` shall have: the next recorded size up to `most`, else `count`."""
        return min((size for size in self._slots if count <= size <= most), default=count)

    def answers(self, prompt: Prompt, prefill: Prefill, most: int, check: Callable[[], None]) -> list[list[int]]:
        """At most `most` tokens for each row, without the token that ends it.

        `check` is called for every token and ends the work by raising.

        Raises:
            PromptRefused: prompt and answer together are longer than the model reads.
        """
        rows, length = prompt.tokens.shape
        self._refuse_long(length, most)
        with self._torch.inference_mode():
            slot = self._slots.get(rows)
            if slot is None or slot.capacity < length + most:
                slot = self._new_slot(rows, _aligned(length + most))
            slot.begin(prompt, self._rules.ends[0])
            scores, positions = prefill(slot.cache)
            slot.positions.copy_(positions)
            self._write(slot, scores)
            for said in range(1, most):
                check()
                if said % LOOK_EVERY == 0 and self._all_ended(slot, length):
                    break
                if slot.step:
                    slot.step()
                else:
                    self._advance(slot)
            written: list[list[int]] = slot.tokens[:, length : length + most].tolist()
        return [list(takewhile(lambda token: token not in self._rules.ends, row)) for row in written]

    def _refuse_long(self, length: int, most: int) -> None:
        """A position beyond the model's table fails on the device, which a process cannot use again after that."""
        if length + most > (known := self._config.max_position_embeddings):
            what = f"the prompt with its pictures takes {length} tokens and the answer up to {most}"
            raise PromptRefused(f"{what}: {self._files.entry} reads {known} at most; ask it shorter")

    def _advance(self, slot: Slot) -> None:
        slot.mask.index_fill_(3, slot.at, 0)
        scores = self._step(slot.now, slot.positions, slot.mask, slot.cache)
        slot.at.add_(1)
        slot.positions.add_(1)
        self._write(slot, scores)

    def _write(self, slot: Slot, scores: Any) -> None:
        if slot.said is not None:
            scores = scores.float()
            held_back = self._torch.where(scores > 0, scores / self._rules.penalty, scores * self._rules.penalty)
            scores = self._torch.where(slot.said[:, : scores.shape[1]], held_back, scores)
        slot.now.copy_(scores.argmax(-1, keepdim=True))
        slot.tokens.index_copy_(1, slot.at, slot.now)
        if slot.said is not None:
            slot.said.scatter_(1, slot.now, True)  # noqa: FBT003  (torch takes it by position)

    def _all_ended(self, slot: Slot, length: int) -> bool:
        written = slot.tokens[:, length:]
        until_now = self._torch.arange(written.shape[1], device=written.device) <= slot.at - length
        return bool((self._torch.isin(written, self._ends) & until_now).any(1).all())

    def _new_slot(self, rows: int, capacity: int, within: Slot | None = None) -> Slot:
        """A slot with a cache of its own, or with the first rows of the cache of a larger one."""
        from transformers import StaticCache

        config, device = self._config, self._files.device.name
        cache = StaticCache(config=config, max_cache_len=capacity)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        empty = self._torch.empty((rows, heads, 0, width), dtype=self.dtype, device=device)
        for number, layer in enumerate(cache.layers):
            layer.lazy_initialization(empty, empty)
            if within is not None:
                larger = within.cache.layers[number]
                layer.keys, layer.values = larger.keys[:rows], larger.values[:rows]
        slot = Slot(cache, rows, capacity, device, self.dtype)
        if self._rules.penalty != 1.0:
            slot.said = self._torch.zeros((rows, config.vocab_size + 1), dtype=self._torch.bool, device=device)
        return slot


class WritingEngine(TorchEngine):
    """An engine whose model writes. A subclass makes `self.decoder` when it loads."""

    sizes: ClassVar[tuple[int, ...]] = (5, 10, 20, 40)
    """Batch sizes for which the step is recorded; below 5 rows a step is hardly faster: it reads the same weights."""
    most: ClassVar[int] = 40
    capacity: ClassVar[int]
    """Tokens of prompt and answer for which it is recorded; longer ones go the slower way."""
    decoder: Decoder

    @abstractmethod
    def load(self) -> None:
        """Read the weights into `self.model` and make the decoder."""

    def find_batch(self) -> None:
        """Find the batch size by memory; with `compile`, record the step and take the largest recorded size.

        Where it cannot be recorded the engine works without, and a note says why.
        """
        super().find_batch()
        if not self.files.compile:
            return
        if self.files.precision not in COMPILED_PRECISIONS:
            self._unrecorded(f"{self.files.precision} decides on the host what it launches")
            return
        found = self.batch
        try:
            self._record()
        except Exception as error:
            if not isinstance(error, NotRecorded) and not devices.is_out_of_memory(error):
                raise
            said = str(error).splitlines()[0]
        else:
            return
        self.decoder.forget()
        self.batch = found
        devices.give_back()  # after the handler: the error's frames hold the caches
        self._unrecorded(said)

    def _record(self) -> None:
        sizes = [size for size in self.sizes if size <= self.batch] or [self.batch]
        self.decoder.compile(sizes, self.capacity)
        self.batch = max(sizes)
        self.probe(self.batch)

    def _unrecorded(self, reason: str) -> None:
        self.notes = (f"its loop is not recorded: {reason}",)
        log.warning("not_compiled", entry=self.files.entry, reason=reason)

    def free(self) -> None:
        """Let go of model, caches and recordings."""
        if self.model is not None:
            del self.decoder
        super().free()


def _aligned(tokens: int) -> int:
    return -(-tokens // ALIGNED) * ALIGNED
