"""The decode pass: one opening of a video, pictures and sound in one sweep, into all renditions that are missing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import EOFError as StreamEnd
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame

from shared.errors import Infrastructure
from shared.length import restarts
from shared.media import can_be_resampled, chosen_streams, open_container, refuse_sparse
from shared.packets import Restamp, packets
from shared.pictures import PictureWriter
from shared.renditions import DEFAULT_FPS, Audio, Frames, Rendition
from shared.schema import MediaInfo
from shared.sound import SoundTracks
from shared.timing import Clock, Timeline
from shared.windows import Ending, complete

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

FRAME_THREADS_PIXELS = 7680 * 4320
"""Decoders of larger pictures work on one at a time: with frame threads each core would hold some of them."""

IN_ORDER = {"mpegts", "mpeg", "matroska,webm"}
"""Formats whose packets stand in the file in the order in which they are read, and that pass over damage silently."""

PASSED_OVER_BYTES = 65_536
"""So much between two packets, where all streams are read, is no packet's: damage."""

STARTS_ANYWHERE = {"mpeg4", "h263", "flv", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2"}
"""FFmpeg's decoders that deliver pictures from a stream's middle on; the others wait for a key frame."""


def decode_pass(
    video: Path, info: MediaInfo, folder: Path, missing: Sequence[Rendition], check: Callable[[], None]
) -> None:
    """Decode the video once and write the missing renditions into `folder`. `check` is called for every packet.

    Windows that an earlier pass committed are kept. Packets that cannot be decoded are skipped and counted. Sound that
    runs on long after the probed end is left out: a packet may hold many frames without times of their own, of which
    the probe, which decodes none, knows nothing.

    Raises:
        BadInput: the video cannot be opened, or is more sound than its bytes can be (`too_sparse`).
        Infrastructure: the disk is full (`disk_full`); what was not committed has been removed.
    """
    try:
        with open_container(video) as container:
            _Pass(video, container, info, folder, missing).run(check)
    except OSError as error:
        if error.errno not in DISK_FULL or isinstance(error, FFmpegError):
            raise
        raise Infrastructure(f"The frame store's disk is full ({folder.parent}).", code="disk_full") from error


class _Expected:
    """Pictures that were sent to the decoder and have not come back, by their timestamps.

    What a decoder reports as broken, it reports long before the picture behind the gap, and some it drops silently; so
    does a demuxer with what it cannot read. `told`: where packets stand in the file tells what was passed over.
    """

    def __init__(self, *, told: bool) -> None:
        self._stamps: dict[int, int] = {}
        self._told, self._read_to = told, 0
        self._breaks = self._seen = 0

    def break_off(self) -> None:
        """Note that the container could not be read here: what is sent from now on comes after a break."""
        self._breaks += 1

    def send(self, packet: Packet[Stream]) -> None:
        """Note a packet; of pictures, what an edit list leaves out is not expected."""
        if self._told and packet.size and packet.pos is not None:
            self._breaks += bool(self._read_to and packet.pos - self._read_to > PASSED_OVER_BYTES)
            self._read_to = max(self._read_to, packet.pos + packet.size)
        if packet.stream.type == "video" and packet.size and packet.pts is not None and not packet.is_discard:
            self._stamps[packet.pts] = self._breaks

    def misses_before(self, frame: VideoFrame) -> bool:
        """Whether a picture that should be shown before this one has not come, or the file was broken before it.

        It is not waited for any longer.
        """
        if frame.pts is None:
            return False
        breaks = self._stamps.pop(frame.pts, self._seen)
        broken, self._seen = breaks > self._seen, max(self._seen, breaks)
        late = [stamp for stamp in self._stamps if stamp < frame.pts]
        for stamp in late:
            del self._stamps[stamp]
        return broken or bool(late)


class _Pass:
    """The state of one sweep."""

    def __init__(
        self, path: Path, container: InputContainer, info: MediaInfo, folder: Path, missing: Sequence[Rendition]
    ) -> None:
        self.path, self.container, self.info, self.folder = path, container, info, folder
        self.video, self.audio = chosen_streams(container)
        self.frames = [need for need in missing if isinstance(need, Frames)] if self.video else []
        self.sounds = [need for need in missing if isinstance(need, Audio)] if self.audio else []
        self.corrupt = {"video": 0, "audio": 0}
        self.expected = _Expected(told=False)
        step = 1 / float(Fraction(info.fps)) if info.fps else 1 / DEFAULT_FPS
        timeline = Timeline(
            start_seconds=info.start_seconds, duration_seconds=info.duration_seconds, restarts=restarts(container)
        )
        self.clocks = {
            "video": Clock(timeline, step_seconds=step),
            "audio": Clock(timeline, step_seconds=0.0, is_sound=True),
        }
        self.codec, self.begun = self.video.codec_context.name if self.video else None, False

    def run(self, check: Callable[[], None]) -> None:
        with ExitStack() as stack:
            pictures = stack.enter_context(PictureWriter(self.folder, self.frames, self.info)) if self.frames else None
            sounds = None
            if self.sounds and self.audio:
                lasts = self.info.duration_seconds
                sounds = stack.enter_context(SoundTracks(self.folder, self.sounds, self.audio, duration_seconds=lasts))
            for frame in self._decoded(check):
                if isinstance(frame, VideoFrame) and pictures:
                    time = self.clocks["video"].place(frame)
                    pictures.add(frame, time, self.clocks["video"].known_until(time))
                elif isinstance(frame, AudioFrame) and sounds and self._is_heard(frame):
                    self._hear(frame, sounds)
            if pictures:
                pictures.finish(self._end_seconds("video"))
                for track in pictures.tracks:
                    self._complete(track.need, "video", track.writer.count)
            if sounds:
                sounds.commit()
                for sound in sounds.tracks:
                    self._complete(sound.need, "audio", sound.writer.count)

    def _decoded(self, check: Callable[[], None]) -> Iterator[VideoFrame | AudioFrame]:
        streams: list[Stream] = []
        if self.video and self.frames:
            large = self.video.width * self.video.height > FRAME_THREADS_PIXELS
            self.video.thread_type = "SLICE" if large else "AUTO"
            streams.append(self.video)
        if self.audio and self.sounds:
            streams.append(self.audio)
        restamp = Restamp(self.container)
        told = len(streams) == len(self.container.streams) and self.container.format.name in IN_ORDER
        self.expected = expected = _Expected(told=told)
        for packet in packets(self.container, streams, lost=partial(self._lose_all, streams)):
            check()
            expected.send(packet)
            try:
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame) and expected.misses_before(frame):
                        self.clocks["video"].lose()
                    if isinstance(frame, VideoFrame) and self._is_guesswork(restamp(frame)):
                        self._lose("video")
                    elif isinstance(frame, VideoFrame | AudioFrame):
                        yield frame
            except StreamEnd:
                continue
            except FFmpegError:
                self._lose(packet.stream.type)

    def _lose_all(self, streams: Sequence[Stream]) -> None:
        self.expected.break_off()
        for stream in streams:
            self._lose(stream.type)

    def _is_heard(self, frame: AudioFrame) -> bool:
        """Whether the frame can be resampled; sound that changes in mid-stream to what cannot is lost."""
        if not can_be_resampled(frame):
            self._lose("audio")
        return can_be_resampled(frame)

    def _hear(self, frame: AudioFrame, sounds: SoundTracks) -> None:
        """Raises BadInput (`too_sparse`): so much follows the probed end as the probe had refused."""
        clock = self.clocks["audio"]
        if not sounds.add(frame, clock.place(frame, frame.samples / frame.sample_rate)):
            refuse_sparse(self.path, clock.end_seconds, self.info.size_bytes)

    def _is_guesswork(self, frame: VideoFrame) -> bool:
        """Whether the frame comes before the first whole picture and its decoder shows the changes on grey."""
        whole = frame.key_frame or frame.pict_type == PictureType.I
        self.begun = self.begun or whole or self.codec not in STARTS_ANYWHERE
        return not self.begun

    def _lose(self, kind: str) -> None:
        self.corrupt[kind] += 1
        self.clocks[kind].lose()

    def _end_seconds(self, kind: str) -> float:
        """Where a stream ends: what it delivered last may claim to last longer than the video does."""
        clock = self.clocks[kind]
        return min(clock.end_seconds, max(clock.placed_seconds, self.info.duration_seconds))

    def _complete(self, need: Rendition, kind: str, count: int) -> None:
        clock = self.clocks[kind]
        ending = Ending(
            count=count,
            end_seconds=self._end_seconds(kind),
            holes=tuple(clock.holes),
            corrupt_packets=self.corrupt[kind],
        )
        complete(self.folder / need.key, ending)
