"""Frame rate and size that costly analyzers need, ONNX Runtime's threads, copies of frames, text in unchanged parts.

    python -m bench.rates [--media FOLDER]... [--only PART]...

In one process, by CPU seconds. Each analyzer sees all its frames, every second of them, and all at half their size;
beside the CPU seconds of its own work stand the share of labelled time on which it agrees with itself on all frames,
and what truth.json says of it. Default: the sample reel, composed when it is not there.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.rows import Detail, Row, say
from services.commands.demo import compose
from services.evaluation.media import STORE_BYTES, LocalMedia
from services.evaluation.reel_checks import judged
from services.evaluation.truth import ReelTruth, truths
from shared.frames import FrameBatch, Frames, FrameStore
from shared.schema import BaseTrack, TrackSet
from shared.settings import settings
from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.boxes import Letterbox
from tasks.edges import TILE
from tasks.engines.nanodet import LONG_SIDE, as_input, canvas_size
from tasks.lines import Reading
from tasks.loading import loaded
from tasks.models import onnx_session
from tasks.node import weights
from tasks.registry import analyzers

COSTLY = ("text_overlay", "object_detection", "camera_analysis", "face_detection")
"""The three that take most of a CPU, and one more, of those that truth.json can judge."""
VARIANTS: dict[str, tuple[int, float]] = {"all": (1, 1.0), "half_rate": (2, 1.0), "half_size": (1, 0.5)}
"""Which of the frames, and their size."""
BINS_PER_SECOND = 20
NETWORK_RUNS, COPIES = 40, 50
Said = frozenset[tuple[str, int]]


class Thinned(LocalMedia):
    """The same video with fewer or smaller frames, all of them made before."""

    step, scale = 1, 1.0

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that are left."""
        rate = super().rate(need)
        return rate and rate / self.step

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches of every `step`-th frame, `scale` times as large."""
        whole = list(super().frames(need, batch=batch))
        times = np.concatenate([one.times for one in whole])[:: self.step]
        pictures = np.concatenate([one.frames for one in whole])[:: self.step]
        until = np.concatenate([one.until for one in whole])[:: self.step]
        if self.scale != 1:
            size = [round(side * self.scale) for side in pictures.shape[2:0:-1]]
            pictures = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in pictures])
        self.spent = time.process_time()
        for at in range(0, len(times), batch):
            yield FrameBatch(times[at : at + batch], pictures[at : at + batch], until[at : at + batch])


def said(result: TrackSet) -> Said:
    """What is claimed when: labels or texts, with each twentieth of a second that they hold in."""
    found = set()
    for track in result.tracks("bench"):
        for item in getattr(track, "items", ()):
            name = getattr(item, "label", None) or getattr(item, "text", None) or getattr(item, "motion", None)
            if name is not None:
                bins = range(round(item.start * BINS_PER_SECOND), round(item.end * BINS_PER_SECOND))
                found |= {(str(name), at) for at in bins}
    return frozenset(found)


def agreement(one: Said, other: Said) -> float:
    """Share of the time that either claims in which both claim the same; 1 where neither claims anything."""
    return len(one & other) / len(one | other) if one | other else 1.0


def looked(
    name: str, video: Path, store: FrameStore, tracks: Sequence[BaseTrack], variant: str
) -> tuple[TrackSet, float]:
    """What an analyzer finds in a variant of a video, and CPU seconds from its first frame on."""
    step, scale = VARIANTS[variant]
    analyzer = loaded(analyzers()[name]).analyzer
    media = Thinned(video, store, analyzer.reads(settings().profile), tracks)
    media.step, media.scale = step, scale
    found = analyzer.analyze(media, analyzer.options())
    return found, time.process_time() - media.spent


def measure_rates(video: Path, truth: ReelTruth, folder: Path) -> None:
    """A row for each costly analyzer and variant."""
    store = FrameStore(folder, budget_bytes=STORE_BYTES)
    cuts = loaded(CutAnalysis).analyzer
    media = LocalMedia(video, store, cuts.reads(settings().profile), ())
    tracks = cuts.analyze(media, cuts.options()).tracks("cut_analysis", media.info.duration_seconds)
    for name in COSTLY:
        looked(name, video, store, tracks, "half_rate")  # first run: lazily made things
        whole: Said | None = None
        for variant in VARIANTS:
            found, spent = looked(name, video, store, tracks, variant)
            whole = said(found) if whole is None else whole
            figures: dict[str, Detail] = {one.measure: one.value for one in judged(found, truth, video.name)}
            detail: dict[str, Detail] = {"agreement": round(agreement(whole, said(found)), 3), "truth": figures}
            say(Row(row=f"rates.{video.stem}.{name}.{variant}", value=spent, unit="CPU s", detail=detail))


def measure_threads() -> None:
    """The detector of objects with one thread and with two: CPU and wall clock of a run."""
    picture = np.random.default_rng(0).integers(0, 255, (427, 240, 3), np.uint8)
    letterbox = Letterbox.fit((240, 427), canvas_size(240, 427))
    for threads in (1, 2):
        session = onnx_session(str(weights().folder / "nanodet-m-416" / "nanodet.onnx"), threads)
        feed = {session.get_inputs()[0].name: as_input(letterbox.draw(picture))}
        session.run(None, feed)
        walls, cpu = [], time.process_time()
        for _ in range(NETWORK_RUNS):
            began = time.perf_counter()
            session.run(None, feed)
            walls.append(time.perf_counter() - began)
        spent = (time.process_time() - cpu) / NETWORK_RUNS * 1000
        detail = {"wall_ms": round(statistics.median(walls) * 1000, 1), "fastest_ms": round(min(walls) * 1000, 1)}
        say(Row(row=f"rates.detector_{threads}_threads", value=spent, unit="CPU ms/picture", detail=detail))


def measure_copies(video: Path, folder: Path) -> None:
    """Bytes of each copy of a picture on its way from the frame store into the detector, and what making it takes."""
    store, need = FrameStore(folder, budget_bytes=STORE_BYTES), Frames(fps=4, short_side=240)
    media = LocalMedia(video, store, (need,), ())
    frame = next(media.frames(need)).frames[0]
    height, width = frame.shape[:2]
    letterbox = Letterbox.fit((width, height), canvas_size(width, height))
    drawn = letterbox.draw(frame)
    tensor = as_input(drawn)
    steps: dict[str, tuple[int, Callable[[], object]]] = {
        "plain": (frame.nbytes, frame.copy),
        "write": (frame.nbytes, lambda: os.pwrite(file.fileno(), frame.data, 0)),
        "letterbox": (drawn.nbytes, lambda: letterbox.draw(frame)),
        "tensor": (tensor.nbytes, lambda: as_input(drawn)),
    }
    with (folder / "copy").open("wb") as file:
        for name, (size, work) in steps.items():
            say(Row(row=f"rates.copy_{name}", value=cpu_ms(work), unit="CPU ms/picture", detail={"bytes": size}))
    say(
        Row(row="rates.copy_plain_tensor", value=cpu_ms(tensor.copy), unit="CPU ms/picture", detail={"long": LONG_SIDE})
    )


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of one call, mean of many."""
    work()
    before = time.process_time()
    for _ in range(COPIES):
        work()
    return (time.process_time() - before) / COPIES * 1000


def changed_share(before: NDArray[np.bool_] | None, now: NDArray[np.bool_]) -> float:
    """Share of a picture in the smallest rectangle around all tiles of the edge map with edges that were not there."""
    if before is None:
        return 1.0
    rows, columns = np.nonzero(now & ~before)
    if not len(rows):
        return 0.0
    across = [(columns.max() // TILE[1] + 1 - columns.min() // TILE[1]) * TILE[1], now.shape[1]]
    down = [(rows.max() // TILE[0] + 1 - rows.min() // TILE[0]) * TILE[0], now.shape[0]]
    return float(min(across) * min(down)) / now.size


class Watched(Reading):
    """A reading that notes how much of each read picture had changed since the one read before."""

    shares: list[float]

    def _read(self, t: float, frame: NDArray[np.uint8], sharp: NDArray[np.bool_], side: int) -> int:
        self.shares.append(changed_share(self._read_edges, sharp))
        return super()._read(t, frame, sharp, side)


def measure_regions(video: Path, folder: Path) -> None:
    """CPU seconds of finding text and of all of text_overlay; the share of the read pictures that had not changed."""
    module: Any = import_module("tasks.analyzers.text_overlay")
    store = FrameStore(folder, budget_bytes=STORE_BYTES)
    reader: Any = loaded(analyzers()["text_overlay"]).analyzer
    found, spent, shares = reader._reader.model, [0.0], list[float]()  # noqa: SLF001  (what the engine runs)
    detect, before = found.detect_and_crop, module.Reading

    def timed(*args: Any) -> Any:
        began = time.process_time()
        try:
            return detect(*args)
        finally:
            spent[0] += time.process_time() - began

    Watched.shares = shares
    found.detect_and_crop, module.Reading = timed, Watched
    try:
        _, whole = looked("text_overlay", video, store, (), "all")
    finally:
        found.detect_and_crop, module.Reading = detect, before
    saved = 1 - statistics.fmean(shares)
    detail = {"readings": len(shares), "finding_cpu_seconds": round(spent[0], 2), "all_cpu_seconds": round(whole, 2)}
    detail["at_most_saved_of_all"] = round(saved * spent[0] / whole, 3)
    say(Row(row=f"rates.{video.stem}.text_unchanged", value=saved, unit="share of pictures", detail=detail))


PARTS = ("rates", "threads", "copies", "regions")


@click.command()
@click.option(
    "--media", "folders", multiple=True, type=click.Path(path_type=Path, exists=True), help="With truth.json."
)
@click.option("--clip", "clips", multiple=True, help="Only these of the folders' videos, by file name.")
@click.option("--only", multiple=True, type=click.Choice(PARTS))
def main(*, folders: tuple[Path, ...], clips: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Measure."""
    known = [truths(folder) for folder in folders or (compose(settings().data_dir / "demo" / "reel").parent,)]
    videos = {video: truth for one in known for video, truth in one.items() if not clips or video.name in clips}
    parts = only or PARTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "threads" in parts:
            measure_threads()
        for number, (video, truth) in enumerate(videos.items()):
            if "copies" in parts and number == 0:
                measure_copies(video, folder)
            if "regions" in parts:
                measure_regions(video, folder)
            if "rates" in parts:
                measure_rates(video, truth, folder)


if __name__ == "__main__":
    main()
