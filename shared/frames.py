"""The frame store: every rendition a job needs, from one decode pass, read by memory map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput, Infrastructure, Skipped
from shared.eviction import USE_LOCK, make_room, remove_video, touch
from shared.isolated import DECODER_KILLED, KILLED
from shared.locks import FileLock
from shared.passes import BackgroundPass, Place, note_refusal, noted_refusal
from shared.renditions import Audio, Fit, Frames, Rendition, estimate_bytes, fit, source_fps
from shared.schema import MediaInfo
from shared.spans import merged, without
from shared.storage import disk_trouble
from shared.windows import Ending, ending, sound, window_frames, window_spans

__all__ = [
    "Audio",
    "Fit",
    "FrameBatch",
    "FrameReader",
    "FrameStore",
    "Frames",
    "ReadStats",
    "Rendition",
    "estimate_bytes",
    "fit",
]

WRITE_LOCK = "write.lock"
POLL_SECONDS = 0.005
CHECK_SECONDS = 0.1
"""`check` is called this often while waiting, and for every batch."""

PASSES = 3
"""So often a reader decodes at most, where decoders or media servers are killed: as often as a run may be begun."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive frames of one rendition.

    `times`: float64 seconds `(n,)`. `frames`: read-only uint8 `(n, height, width, 3)` or `(n, height, width)`.
    `until`: the seconds until which each was shown `(n,)`: until the video's next picture, which the rendition may not
    have, until something was lost, or until the pictures end.
    """

    times: NDArray[np.float64]
    frames: NDArray[np.uint8]
    until: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.times) == len(self.frames) == len(self.until):
            raise ValueError(f"{len(self.times)} times and {len(self.until)} ends for {len(self.frames)} frames")


@dataclass(slots=True)
class ReadStats:
    """What reading cost this process: decode passes it made itself, seconds spent decoding or waiting for frames.

    `spans`: seconds of the video that were delivered, without what was lost to corrupt packets (`corrupt_packets`).
    `holes`: seconds without a picture, once that is known: what was lost, and all after the last one.
    """

    decode_passes: int = 0
    decode_seconds: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)
    holes: list[tuple[float, float]] = field(default_factory=list)
    corrupt_packets: int = 0


class FrameStore:
    """Renditions of videos under one folder, shared by all processes of a node.

    `open` gives a reader of one video. The reader that first finds a rendition missing decodes the video once for all
    renditions in `wanted`, in windows of a few seconds; other processes read the windows as they are committed.
    """

    def __init__(self, folder: Path, *, budget_bytes: int, video_bytes: int | None = None) -> None:
        """`video_bytes`: the most that one video may take; by default all of it."""
        self.folder = folder
        self.budget_bytes = budget_bytes
        self.video_bytes = min(budget_bytes, video_bytes or budget_bytes)

    def open(
        self,
        video: Path,
        info: MediaInfo,
        wanted: Sequence[Rendition],
        *,
        check: Callable[[], None] = lambda: None,
        began: Callable[[], None] = lambda: None,
    ) -> FrameReader:
        """Open a reader of the renditions of one video. `check` is called often and may raise (cancel, time limit).

        `began` is called before each decode pass that this reader begins.

        What does not fit a video's share is read at a lower rate, as `fit` says for the same arguments.
        """
        return FrameReader(self, video, info, tuple(wanted), check, began)

    def forget(self, sha256: str) -> bool:
        """Remove the frames of a video; False when somebody reads them, who leaves them to eviction."""
        return remove_video(self.folder / sha256)

    def sweep(self, is_needed: Callable[[str], bool]) -> int:
        """Remove frames of videos, by sha256, that are not needed and not read, and all that is over the budget."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        removed = sum(remove_video(path) for path in known if not is_needed(path.name))
        make_room(self.folder, 0, self.budget_bytes)
        return removed


class FrameReader:
    """Reads the renditions of one video; decodes them when no process has.

    While a reader is open its video is not evicted. `close` it (or use it in `with`); arrays stay valid afterwards.
    """

    def __init__(
        self,
        store: FrameStore,
        video: Path,
        info: MediaInfo,
        wanted: tuple[Rendition, ...],
        check: Callable[[], None],
        began: Callable[[], None],
    ) -> None:
        self.store, self.video, self.info, self.wanted, self.check = store, video, info, wanted, check
        self._began = began
        self.stats = ReadStats()
        self.fitted = fit(wanted, info, store.video_bytes)
        self.folder = store.folder / info.sha256
        self._in_use = FileLock(self.folder / USE_LOCK, shared=True)
        self._pass: BackgroundPass | None = None
        self._last_check = -CHECK_SECONDS
        self._delivered: dict[str, list[tuple[float, float]]] = {}
        self._spans: dict[str, list[NDArray[np.float64]]] = {}
        self._hold()

    def frames(self, need: Frames, *, batch: int = 16) -> Iterator[FrameBatch]:
        """Batches in time order, each of `batch` frames but the last.

        Raises:
            Skipped: the video has no pictures (`no_video`).
            BadInput: none of its pictures can be decoded (`undecodable`).
            Infrastructure: the store's disk is full (`disk_full`).
        """
        return self._batches(self._chosen(need), batch)

    def rate(self, need: Frames) -> float | None:
        """Pictures a second that are read at most: fewer than asked for where all would not fit. None: all. Raises as
        `frames`.
        """
        return self._chosen(need).fps

    def frame_at(self, need: Frames, t: float) -> tuple[float, NDArray[np.uint8]]:
        """Return the last frame with a time <= t, else the first, and its time. Raises as `frames`."""
        chosen = self._chosen(need)
        number = 0
        while (spans := self._window(chosen, number + 1)) is not None and spans[0, 0] <= t:
            number += 1
        spans = self._window(chosen, number)
        if spans is None:
            raise self._undecodable()
        times = spans[:, 0]
        item = max(0, int(np.searchsorted(times, t, side="right")) - 1)
        self._deliver(chosen, float(times[item]), float(times[item]))
        return float(times[item]), self._window_frames(chosen, number)[item]

    def shown(self, need: Frames) -> tuple[tuple[float, float], ...]:
        """Seconds with a picture: from the first to the end of the last, without what was lost to corrupt packets.

        Waits until all is decoded. Raises as `frames`.
        """
        chosen = self._chosen(need)
        first = self._window(chosen, 0)
        if first is None:
            raise self._undecodable()
        end = self._wait(chosen, lambda: ending(self.folder / chosen.key))
        self._add_spans(chosen, [], end)
        start = float(first[0, 0])
        return tuple(without([(start, max(start, end.end_seconds))], end.holes)) or ((start, start),)

    def audio(self, need: Audio) -> NDArray[np.float32]:
        """All samples from 0 s on, read-only, `(samples,)` if mono, else `(samples, channels)`.

        Silence stands where the stream has gaps.

        Raises:
            Skipped: the video has no sound (`no_audio`).
            Infrastructure: the store's disk is full (`disk_full`).
        """
        self._declared(need)
        if not self.info.has_audio:
            raise Skipped("The video has no audio stream that can be read.", code="no_audio")
        end = self._wait(need, lambda: ending(self.folder / need.key))
        samples = sound(self.folder / need.key)
        self._add_spans(need, [(0.0, len(samples) / need.sample_rate)], end)
        return samples

    def close(self) -> None:
        """Let the video go. A pass that this reader began goes on for the others, if there are any."""
        if self._pass is not None and all(map(self._is_complete, self.fitted.renditions.values())):
            self._pass.join()
        with suppress(OSError):  # a full disk: who is evicted first is not worth a result
            if self.folder.exists():
                touch(self.folder)
        self._in_use.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _batches(self, need: Frames, batch: int) -> Iterator[FrameBatch]:
        kept_spans: list[NDArray[np.float64]] = []
        kept_frames: list[NDArray[np.uint8]] = []
        first, number, waiting = 0.0, 0, 0
        while (spans := self._window(need, number)) is not None:
            frames = self._window_frames(need, number)
            first = first if number else float(spans[0, 0])
            at, number = 0, number + 1
            while at < len(spans):
                taken = min(batch - waiting, len(spans) - at)
                kept_spans.append(spans[at : at + taken])
                kept_frames.append(frames[at : at + taken])
                at, waiting = at + taken, waiting + taken
                if waiting == batch:
                    yield self._batch(need, first, kept_spans, kept_frames)
                    kept_spans, kept_frames, waiting = [], [], 0
        if waiting:
            yield self._batch(need, first, kept_spans, kept_frames)
        elif number == 0:
            raise self._undecodable()
        if (end := ending(self.folder / need.key)) is not None:  # how long the last picture is held is known now
            self._add_spans(need, [(first, end.end_seconds)], end)

    def _batch(
        self, need: Frames, first: float, spans: list[NDArray[np.float64]], frames: list[NDArray[np.uint8]]
    ) -> FrameBatch:
        self._checked()
        joined = frames[0] if len(frames) == 1 else np.concatenate(frames)
        joined.flags.writeable = False
        shown = spans[0] if len(spans) == 1 else np.concatenate(spans)
        result = FrameBatch(shown[:, 0], joined, shown[:, 1])
        self._deliver(need, first, float(result.times[-1]))
        return result

    def _window(self, need: Frames, number: int) -> NDArray[np.float64] | None:
        """Spans of a window's frames `(n, 2)`, waited for; None when the rendition ends before it."""
        known = self._spans.setdefault(need.key, [])
        folder = self.folder / need.key

        def look() -> tuple[NDArray[np.float64] | None] | None:
            # the ending first: windows are committed before it
            ended = ending(folder) is not None
            spans = window_spans(folder, len(known))
            return (spans,) if ended or spans is not None else None

        while len(known) <= number:
            (spans,) = self._wait(need, look)
            if spans is None:
                return None
            known.append(spans)
        return known[number]

    def _window_frames(self, need: Frames, number: int) -> NDArray[np.uint8]:
        # waited for: another process whose disk was full may have taken the window back
        return self._wait(need, lambda: window_frames(self.folder / need.key, number))

    def _wait(self, need: Rendition, look: Callable[[], T | None]) -> T:
        """Wait until `look` finds something; decode when nobody does. The seconds count as decoding."""
        started = time.perf_counter()
        while (found := look()) is None:
            if self._pass is None or not self._pass.running:
                self._take_over(need)
            time.sleep(POLL_SECONDS)
            now = time.perf_counter()
            self.stats.decode_seconds += now - started
            started = now
            if now - self._last_check >= CHECK_SECONDS:
                self._checked()
        return found

    def _checked(self) -> None:
        """Call `check`; when it raises, the job is cancelled or late and nobody waits for the rest of the pass."""
        self._last_check = time.perf_counter()
        try:
            self.check()
        except BaseException:
            if self._pass is not None:
                self._pass.stop()
            raise

    def _take_over(self, need: Rendition) -> None:
        """Become the video's writer when there is none, the rendition is still missing, and a pass may begin here.

        Who waits for a place does not hold the write lock: another process may have one.
        """
        if self._pass is not None and (error := self._pass.error) is not None:
            if not self._is_worth_another(error):
                raise self._final(error)
            self._pass = None
        if (refusal := noted_refusal(self.folder)) is not None:
            raise refusal
        lock = FileLock(self.folder / WRITE_LOCK)
        if not lock.take():
            return
        missing = [other for other in dict.fromkeys(self.fitted.renditions.values()) if not self._is_complete(other)]
        place = Place()
        if need not in missing or not place.take():
            lock.release()
            return
        self._pass = BackgroundPass(place, lock, self.video, self.info, self.folder, missing, self.store.budget_bytes)
        self.stats.decode_passes += 1
        self._began()
        self._pass.start()

    def _is_worth_another(self, error: Exception) -> bool:
        """Whether a pass failed of what may be over: somebody killed its decoder or its media server."""
        killed = isinstance(error, Infrastructure) and error.code in KILLED
        return killed and self.stats.decode_passes < PASSES

    def _final(self, error: Exception) -> Exception:
        """What the last pass says; a decoder that is killed every time is noted, so that others do not try as often."""
        if not (isinstance(error, Infrastructure) and error.code == DECODER_KILLED):
            return error
        often = f"the process that read it was killed {self.stats.decode_passes} times (SIGKILL)"
        sentence = f"{self.video}: {often}, as a system does that runs out of memory."
        refusal = BadInput(sentence, code=DECODER_KILLED, retryable=True)
        note_refusal(self.folder, refusal)
        return refusal

    def _is_complete(self, need: Rendition) -> bool:
        return ending(self.folder / need.key) is not None

    def _hold(self) -> None:
        """Create the video's folder and keep it from eviction."""
        try:
            for _ in range(1000):
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    if self._in_use.take():
                        touch(self.folder)
                        return
                except FileNotFoundError:  # evicted between the two lines
                    continue
                time.sleep(POLL_SECONDS)
        except OSError as error:
            raise disk_trouble(error, self.folder) from error
        raise Infrastructure(f"The frame store {self.store.folder} is locked.")

    def _declared(self, need: Rendition) -> Rendition:
        if need not in self.fitted.renditions:
            raise ValueError(f"{need} was not declared when the reader was opened")
        return self.fitted.renditions[need]

    def _chosen(self, need: Frames) -> Frames:
        chosen = self._declared(need)
        if not isinstance(chosen, Frames):
            raise TypeError(f"{need} is not a rendition of pictures")
        if not self.info.has_video:
            raise Skipped("The video has no pictures.", code="no_video")
        return chosen

    def _undecodable(self) -> BadInput:
        return BadInput(f"{self.video}: none of its pictures can be decoded.", code="undecodable")

    def _deliver(self, need: Frames, first: float, last: float) -> None:
        """Note that the frames of `first` to `last` were handed out; the last one is shown for one step."""
        step = 1 / min(need.fps or np.inf, source_fps(self.info))
        self._add_spans(need, [(first, last + step)], ending(self.folder / need.key))

    def _add_spans(self, need: Rendition, spans: list[tuple[float, float]], end: Ending | None) -> None:
        delivered = merged([*self._delivered.get(need.key, ()), *spans])
        if end is not None:  # also of what was handed out before the pass had come to its end
            cut = ((start, min(stop, end.end_seconds)) for start, stop in delivered)
            delivered = without(cut, end.holes)
            self.stats.corrupt_packets = max(self.stats.corrupt_packets, end.corrupt_packets)
            if isinstance(need, Frames):
                self.stats.holes = merged([*end.holes, (end.end_seconds, np.inf)])
        self._delivered[need.key] = delivered
        self.stats.spans = merged([span for spans in self._delivered.values() for span in spans])
