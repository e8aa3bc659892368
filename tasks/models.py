"""From a weights entry to a loaded model on a device: what analyzers load their models with.

Small networks come as sessions of ONNX Runtime or LiteRT on the CPU. Everything else is an `Engine`: a model of one
kind behind a method of that kind (caption pictures, find objects, write down speech), in `tasks/engines/`. The entry in
`weights.toml` names the engine that reads it, so another model of a known kind is one more entry.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeVar

from shared import pins
from shared.errors import BadInput, Unavailable, WeightsMissing
from shared.log import logger
from shared.settings import Compile, Precision
from shared.weights import Weights
from tasks.devices import CPU, Device, NoDevice

Number = pins.Number
"""The format of a model's weights in memory."""

ON_A_GPU: tuple[Number, ...] = ("bf16", "nf4")
"""What `auto` tries, in this order. int8 only on request: measured 5 times slower than bf16."""

NO_TENSORS = "weights_only"
"""Is in all that torch says of a pickle that holds other things than tensors."""
PICKLES = (".bin", ".pt", ".pth")

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Weighted:
    """What an engine is made from: checked files in `folder`, and how to hold them."""

    entry: str
    folder: Path
    device: Device
    precision: Number
    threads: int
    compile: bool = False
    """Whether to spend warm-up time and memory on a faster inner loop; for workers that live long."""


class Engine(Protocol):
    """A model on a device. Made from `Weighted` without touching anything; then `load`, `warm_up`, work, `free`."""

    files: Weighted
    batch: int
    """Items that go through at once; found by memory at warm-up on a GPU."""
    worked: int
    """Batches that it has worked on since it was made, those of warm-ups too."""
    notes: tuple[str, ...]
    """What it could not have as it should, for receipts: why it is not on the GPU, why its loop is not recorded."""

    def load(self) -> None:
        """Import the library and read the weights."""

    def warm_up(self) -> None:
        """Go the way of a job, with a batch as large as work will bring: the first job finds everything there."""

    def free(self) -> None:
        """Let go of the weights. The engine cannot work afterwards until it is loaded again."""


EngineT = TypeVar("EngineT", bound=Engine)
MadeT_co = TypeVar("MadeT_co", bound=Engine, covariant=True)


class EngineKind(Protocol[MadeT_co]):
    """A class of engines. Making one loads nothing."""

    precisions: tuple[Number, ...]
    """Those that it can be asked for."""

    def __call__(self, files: Weighted, /) -> MadeT_co:
        """An engine over these files."""


class Engines:
    """The engines of one process. Two analyzers with the same entry in the same precision share one."""

    def __init__(self, *, compile_loops: Compile = False) -> None:
        self.compile_loops = compile_loops
        self._made: dict[tuple[EngineKind[Any], str, str, Number], Engine] = {}
        self._warm: list[Engine] = []

    def get(self, kind: EngineKind[EngineT], wanted: Weighted, loading: Callable[[EngineT], None]) -> EngineT:
        """The engine made from these weights; `loading` loads a new one."""
        key = (kind, wanted.entry, wanted.device.name, wanted.precision)
        known: EngineT | None = self._made.get(key)  # type: ignore[assignment]  # a kind makes engines of its own type
        if known is None:
            known = kind(wanted)
            loading(known)
            self._made[key] = known
        return known

    def warm_up(self, engines: Iterable[Engine]) -> None:
        """Warm up those that are not warm yet."""
        for engine in engines:
            if engine not in self._warm:
                engine.warm_up()
                self._warm.append(engine)

    def free(self) -> bool:
        """Let go of every engine, each once; whether there was any."""
        made, self._made, self._warm = list(self._made.values()), {}, []
        for engine in made:
            engine.free()
        return bool(made)


class Models:
    """Implements `tasks.analyzer.ModelContext` for one analyzer; `entry` is what it uses in the profile.

    `extra` is the entry that it uses if it is there.

    Several models run side by side on the same cores, one per worker process. So each uses `threads` threads and they
    sleep, not spin, while they wait.
    """

    def __init__(
        self,
        weights: Weights,
        entry: str | None,
        *,
        profile: str,
        threads: int,
        device: Callable[[], Device] = lambda: CPU,
        precision: Precision = "auto",
        shared: Engines | None = None,
    ) -> None:
        self.profile = profile
        self.threads = threads
        self.engines: list[Engine] = []
        """What the analyzer works with; others may work with the same ones."""
        self._shared = shared or Engines()
        self._weights, self._entry = weights, entry
        self.extra: str | None = None
        self.given: Mapping[str, Number] = {}
        """Precisions by entry on which the models of a worker have agreed; they count more than its own."""
        self._device, self._precision = device, precision

    @property
    def digest(self) -> str | None:
        """What identifies the weights in receipts and cache keys; None for an analyzer without weights."""
        return self._weights.digest(self._entry) if self._entry else None

    def path(self, file: str) -> str:
        """Path of a file of the analyzer's weights, its sha256 checked.

        Raises:
            WeightsMissing: the file, or an entry for this profile, is not there.
            WeightsTampered: it is not the pinned file.
        """
        return str(self._weights.path(self._required_entry(), file))

    def onnx(self, file: str) -> Any:
        """An `onnxruntime.InferenceSession` of a weights file."""
        return onnx_session(self.path(file), self.threads)

    def tflite(self, file: str) -> Any:
        """An `ai_edge_litert` interpreter of a weights file, tensors allocated."""
        return tflite_interpreter(self.path(file), self.threads)

    def engine(self, kinds: Mapping[str, EngineKind[EngineT]]) -> EngineT:
        """The engine that the entry names, loaded.

        Raises:
            WeightsMissing, WeightsTampered: a file of the entry is not there, or not the pinned one.
            BadInput: the entry names none of these engines.
            Unavailable: the engine cannot use the files; a checkpoint lacks tensors, a package is not installed.
            NoDevice: it fits the GPU memory of this worker in no precision that it may have.
        """
        return self._made(self._required_entry(), kinds)

    def extra_engine(self, kinds: Mapping[str, EngineKind[EngineT]]) -> EngineT | None:
        """The engine of the entry that the analyzer can do without; None where there is none or its files are not here.

        Raises:
            WeightsTampered, BadInput, NoDevice: as `engine` does. Unavailable: the engine cannot use the files.
        """
        if self.extra is None:
            return None
        if self._weights.on_disk(self.extra) == "absent":  # before anyone asks whether it would fit
            log.warning("without_extra", entry=self.extra, reason=f"`reelgraph models pull {self.extra}` brings it")
            return None
        try:
            return self._made(self.extra, kinds)
        except WeightsMissing as error:
            log.warning("without_extra", entry=self.extra, reason=error.message)
            return None

    def _made(self, entry: str, kinds: Mapping[str, EngineKind[EngineT]]) -> EngineT:
        pinned = self._weights.entry(entry)
        kind = kinds.get(pinned.engine or "")
        if kind is None:
            raise BadInput(f"{entry} is for the engine {pinned.engine!r}, not {', '.join(kinds)}", code="wrong_engine")
        device = self._device()
        wished: Precision = self.given.get(entry, self._precision)
        precision = fitting(wished, pinned.memory_mib, device, on_cpu=pinned.cpu_precision)
        asked = self._shared.compile_loops
        loops = device.is_gpu if asked == "auto" else asked
        wanted = Weighted(entry, self._weights.folder / entry, device, precision, self.threads, loops)

        def loading(made: EngineT) -> None:
            try:
                with self._weights.reading(entry):
                    made.load()
            except (pickle.UnpicklingError, RuntimeError) as error:
                if NO_TENSORS not in str(error):
                    raise
                raise _no_tensors(wanted, error) from error

        engine = self._shared.get(kind, wanted, loading)
        self.engines.append(engine)
        return engine

    def _required_entry(self) -> str:
        if self._entry is None:
            raise WeightsMissing(f"no weights are declared for the {self.profile} profile")
        return self._entry


def _no_tensors(files: Weighted, error: Exception) -> Unavailable:
    """What to say of a pickle that torch refuses: torch's own seven sentences advise to let it run what it holds."""
    cause = error.__context__ if isinstance(error.__context__, pickle.UnpicklingError) else error
    said = str(cause).partition("\n")[0].partition(". ")[0].rstrip(".")
    names = sorted(path.name for path in files.folder.iterdir() if path.suffix in PICKLES)
    what = f"{files.entry}/{' or '.join(names)} is no plain file of tensors (torch's reader refused it: {said})"
    return Unavailable(f"{what}; take the repository's safetensors, or save a state dict", code="load_failed")


def kept_on_cpu(files: Weighted, runtime: str) -> tuple[Weighted, tuple[str, ...]]:
    """The same on the CPU in fp32, for a runtime without a GPU, and the note for receipts where one was meant."""
    notes = (f"on the CPU: {runtime} has no GPU here",) if files.device.is_gpu else ()
    return replace(files, device=CPU, precision="fp32"), notes


def onnx_session(path: str, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU whose threads sleep while they wait."""
    from tasks.sessions import session

    return session(path, threads)


def tflite_interpreter(path: str, threads: int) -> Any:
    """An `ai_edge_litert` interpreter on the CPU, tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


@dataclass(frozen=True, slots=True)
class Demand:
    """What one model asks of a GPU: a precision, or `auto`, and what it takes in each, in MiB."""

    wanted: Precision
    vram_mib: Mapping[Number, int]
    derived: frozenset[Number] = frozenset()
    """Precisions whose size was worked out, and not measured."""
    work_mib: int = 0
    """The part of this memory that is taken only while it works."""
    beside_torch: bool = False
    """Whether its library takes this memory past torch, whose share has to be so much less."""

    @property
    def choices(self) -> tuple[Number, ...]:
        """The precisions it may have, the best first; those whose size nobody has declared only where none has one."""
        tried: tuple[Number, ...] = ON_A_GPU if self.wanted == "auto" else (self.wanted,)
        return tuple(precision for precision in tried if precision in self.vram_mib) or tried[:1]

    def takes(self, precision: Number) -> int | None:
        """MiB in a precision: as declared, else at most what another one takes, twice that for fp32; None: unknown."""
        if precision in self.vram_mib or not self.vram_mib:
            return self.vram_mib.get(precision)
        return max(self.vram_mib.values()) * (2 if precision == "fp32" else 1)

    def is_derived(self, precision: Number) -> bool:
        """Whether the size in this precision was worked out, and not measured."""
        return precision in self.derived or precision not in self.vram_mib


def demand(entry: pins.Entry, wanted: Precision) -> Demand:
    """What a model of the weights file asks of a GPU."""
    return Demand(wanted, entry.memory_mib, frozenset(entry.derived_vram_mib), entry.work_mib, entry.beside_torch)


@dataclass(frozen=True, slots=True)
class Rung:
    """One way for some models to share memory."""

    precisions: Mapping[str, Number]
    vram_mib: int
    steps: int
    """How far they are from their best precisions, all together."""


def ladder(demands: Mapping[str, Demand]) -> tuple[Rung, ...]:
    """The ways for these models to share memory, the best first, each smaller than the one before.

    Of the ways that are equally far from the best precisions the smallest counts. A worker takes the first that fits
    what it may use, and the planner of layouts chooses among the same.
    """
    rungs: list[Rung] = []
    steps = [[(number, one) for number, one in enumerate(demand.choices)] for demand in demands.values()]
    ways = []
    for way in product(*steps):
        precisions = {name: one for name, (_, one) in zip(demands, way, strict=True)}
        ways.append(Rung(precisions, _together(demands, precisions), sum(number for number, _ in way)))
    for rung in sorted(ways, key=lambda rung: (rung.steps, rung.vram_mib)):
        if not rungs or rung.vram_mib < rungs[-1].vram_mib:
            rungs.append(rung)
    return tuple(rungs)


def _together(demands: Mapping[str, Demand], precisions: Mapping[str, Number]) -> int:
    """MiB of models that are all loaded and work one after another."""
    sizes = [(demands[name].takes(one) or 0, demands[name].work_mib) for name, one in precisions.items()]
    return sum(size - min(size, work) for size, work in sizes) + max((min(pair) for pair in sizes), default=0)


def agreed(demands: Mapping[str, Demand], room_mib: int | None) -> Mapping[str, Number]:
    """A precision for every model so that all fit into `room_mib` together: the first rung of their `ladder` that does.

    Raises:
        NoDevice: they do not fit even in the smallest precisions they may have.
    """
    rungs = ladder(demands)
    for rung in rungs:
        if room_mib is None or rung.vram_mib <= room_mib:
            return rung.precisions
    least = rungs[-1]
    sizes = ", ".join(f"{name} {demands[name].takes(one) or 0} ({one})" for name, one in least.precisions.items())
    what = f"the models take {least.vram_mib} MiB of GPU memory and this worker may use {room_mib}: {sizes}"
    raise NoDevice(
        f"{what}; allow more memory, serve fewer groups if there are several, or see what `reelgraph plan` finds"
    )


def fitting(wanted: Precision, vram_mib: Mapping[Number, int], device: Device, *, on_cpu: Number = "fp32") -> Number:
    """The precision a model is loaded in: the wanted one, or for `auto` the first that fits the device's memory.

    On a CPU `auto` means `on_cpu`.

    Raises:
        NoDevice: none fits; the message says by how much.
    """
    if not device.is_gpu:
        return on_cpu if wanted == "auto" else wanted
    room_mib = None if device.memory_mib is None else device.memory_mib + device.aside_mib
    return agreed({"it": Demand(wanted, vram_mib)}, room_mib)["it"]
