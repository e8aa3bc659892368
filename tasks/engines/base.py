"""What engines on torch share: batches as large as memory allows, warm-up, loading in a precision, letting go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, TypeVar

from shared.errors import Unavailable
from shared.log import logger
from tasks import devices
from tasks.devices import DeviceLost
from tasks.models import Number, Weighted

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

PROBED = (1, 4)
"""Batch sizes whose memory is measured to tell how many items fit."""
KEPT_FREE = 0.1
"""Share of the memory that no batch is planned to take: fragments, and inputs larger than the warm-up's."""

NAMED = 3
"""Tensors that a refusal names; how many more there are is a number."""
COUNTS = ".num_batches_tracked"
"""Ends the names of counters that batch normalisation keeps while it is trained, and never reads afterwards."""

log = logger(__name__)


class WeightsIncomplete(Unavailable):
    """A checkpoint lacks tensors of its model, or has them in other shapes: what it answered would be made up."""

    code = "weights_incomplete"


class TorchEngine(ABC):
    """A model on torch. A subclass loads it into `self.model`, and says what one item of its work takes."""

    libraries: ClassVar[tuple[str, ...]] = (
        "torch",
        "transformers.models.auto.processing_auto",
        "transformers.modeling_utils",
    )
    """Modules whose import takes seconds, and which `load` needs: a worker on a GPU imports them before."""
    precisions: ClassVar[tuple[Number, ...]] = ("fp32", "bf16", "int8", "nf4")
    """Those that it can be asked for."""
    cpu_batch: ClassVar[int] = 4
    """Items at once on a CPU, where a larger batch is hardly faster."""
    most: ClassVar[int] = 64
    """Items at once at most."""

    def __init__(self, files: Weighted) -> None:
        self.files = files
        self.batch = self.cpu_batch
        self.at_once = self.cpu_batch
        """Items of the call that runs now may be so many at once: `batch`, or fewer where its memory ran out."""
        self.worked = 0
        self.model: Any = None
        self.notes: tuple[str, ...] = ()

    @abstractmethod
    def load(self) -> None:
        """Read the weights into `self.model`."""

    @abstractmethod
    def probe(self, count: int) -> None:
        """Work on `count` items as large as any that come."""

    @abstractmethod
    def rehearse(self) -> None:
        """Do once what a job does, by the engine's own method, on each kind of input that jobs bring.

        What a library loads, builds or imports at first use is then there: `probe` alone asks for memory only.
        """

    def warm_up(self) -> None:
        """Find the batch size by memory and run one batch of it, then rehearse a job."""
        self.find_batch()
        self.rehearse()

    def find_batch(self) -> None:
        """On a GPU: find the batch size by memory, then run one batch of it."""
        if not self.files.device.is_gpu:
            return
        self.batch = self._fitting_batch()
        for _ in self.batches(range(self.batch), lambda items: self._probed(len(items))):
            log.info("warmed_up", entry=self.files.entry, batch=self.at_once, precision=self.files.precision)
        self.batch = self.at_once

    def free(self) -> None:
        """Let go of the model."""
        self.model = None
        devices.give_back()

    def batches(
        self, items: Iterable[ItemT], call: Callable[[Sequence[ItemT]], Sequence[AnswerT]]
    ) -> Iterator[list[AnswerT]]:
        """Answers in the order of `items`, a list for each batch.

        Where memory runs out the batch is halved, for the rest of this call, and tried again: the next job's prompt may
        be shorter. Where memory stays short the next call halves again, at the cost of one failed batch.

        Raises:
            OutOfDeviceMemory: not even one item fits.
            DeviceLost: the GPU failed; this process cannot use it again.
        """
        left, most = iter(items), self.batch
        while taken := list(islice(left, most)):
            while taken:
                self.at_once = most
                now = taken[:most]
                if (answers := self._tried(now, call)) is None:
                    most = max(1, len(now) // 2)
                    log.warning("batch_halved", entry=self.files.entry, batch=most)
                    continue
                yield answers
                taken = taken[len(now) :]

    def _tried(
        self, items: Sequence[ItemT], call: Callable[[Sequence[ItemT]], Sequence[AnswerT]]
    ) -> list[AnswerT] | None:
        """The answers; None when the batch was too large: the next one has to be smaller."""
        try:
            answers = list(call(items))
        except Exception as error:
            end = devices.told(error, self.files.entry, self.files.device)
            if end is None:
                raise
            if isinstance(end, DeviceLost):
                raise end from error
        else:
            self.worked += 1
            return answers
        devices.give_back()  # after the handler: the error's frames hold the tensors of the failed batch
        if len(items) == 1:
            raise end
        return None

    def _probed(self, count: int) -> list[None]:
        self.probe(count)
        return [None] * count

    def _fitting_batch(self) -> int:
        """How many items fit, from the peaks of two small batches."""
        device = self.files.device
        base, peaks = devices.held_mib() or 0.0, []
        for count in PROBED:
            devices.reset_peak()
            if self._tried(range(count), lambda items: self._probed(len(items))) is None:
                return PROBED[0]  # one item fitted
            peaks.append(devices.peak_mib() or 0.0)
        each = max((peaks[1] - peaks[0]) / (PROBED[1] - PROBED[0]), 1e-3)
        fixed = max(peaks[0] - each, base)
        room = (device.memory_mib or 0) * (1 - KEPT_FREE) - fixed
        return max(1, min(self.most, int(room / each)))


def pretrained(
    auto_class: Any,
    files: Weighted,
    *,
    heads: Sequence[str] = (),
    held: Number | None = None,
    unread: Sequence[str] = (),
    **arguments: Any,
) -> Any:
    """A transformers model from a folder, on its device in its precision, ready to infer; never from a network.

    `held` is another precision for its weights. int8 and nf4 go through bitsandbytes (`Dettmers et al. 2022, 2023`),
    which needs the weights placed while loading; `heads` are parts that they leave as they are, beside the token head
    that transformers spares by itself. `unread` are parts, by words of their tensors' names, that serve training only
    and may be missing.

    Raises:
        WeightsIncomplete: the checkpoint lacks tensors, or has them in other shapes than its config says.
    """
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # a worker's log is no terminal
    torch.set_num_threads(files.threads)
    precision = held or files.precision
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    if precision in ("int8", "nf4"):
        arguments["quantization_config"] = _quantization(precision, heads)
    # transformers draws what is missing at random and only logs it; of shapes, too, one sentence is said here
    arguments |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, info = auto_class.from_pretrained(
        files.folder, dtype=dtype, device_map=files.device.name, local_files_only=True, **arguments
    )
    refuse_gaps(files.entry, info["missing_keys"], info["mismatched_keys"], unread)
    return model.eval()


def refuse_gaps(
    entry: str,
    missing: Iterable[str],
    mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]],
    unread: Sequence[str] = (),
) -> None:
    """Refuse a checkpoint without some tensors, or with some in other shapes: name, shape in it, shape in the model.

    Tied weights that are stored once transformers does not count.

    Raises:
        WeightsIncomplete: there is one that is not `unread`, and no counter of normalisation.
    """
    gaps = [f"no {name}" for name in sorted(missing)]
    for name, stored, wanted in sorted(mismatched):
        gaps.append(f"{name} as {'x'.join(map(str, stored))} for {'x'.join(map(str, wanted))}")
    gaps = [gap for gap in gaps if not gap.endswith(COUNTS) and not any(part in gap for part in unread)]
    if gaps:
        more = f" and {len(gaps) - NAMED} more" if len(gaps) > NAMED else ""
        what = f"the checkpoint of {entry} does not fit its config: it has {', '.join(gaps[:NAMED])}{more}"
        raise WeightsIncomplete(f"{what}; with made-up weights it would answer at random, so take a complete one")


def _quantization(precision: str, heads: Sequence[str]) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    # None, and not an empty list, for transformers' own choice
    spared = {"llm_int8_skip_modules": list(heads) or None}
    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, **spared)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16, **spared
    )
