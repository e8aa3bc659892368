"""The sample reel: composed on the user's machine from pinned pictures and speech, with its truth beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise, repeat
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pydantic import BaseModel, ConfigDict

from shared.errors import BadInput
from shared.media import chosen_streams, open_container

PINS = files("services") / "demo.toml"
WIDTH, HEIGHT, FPS = 720, 1280, 30
SAMPLE_RATE = 48_000
SPEECH_START_SECONDS = 0.5
ZOOM = 1.4
MOVING_MIDDLE = 0.38  # where the bunny stands
CREDITS = (
    "Pictures: NASA; Rachel Michetti (CC0). Big Buck Bunny (c) Blender Foundation, CC BY 3.0. "
    "Speech: John F. Kennedy, 1961."
)

Frame = Image.Image
Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Assets:
    """Files that the reel is made of, and what is known about them."""

    portrait: Path
    moving: Path
    product: Path
    scenery: Path
    speech: Path
    product_label: str
    transcript: str

    @classmethod
    def pinned(cls, path: Callable[[str, str], Path]) -> Assets:
        """The files of `demo.toml`; `path` gives the checked file of an entry, as `Weights(folder, PINS).path` does."""
        return cls(
            portrait=path("astronaut", "astronaut.png"),
            moving=path("bunny", "bigbuckbunny.mp4"),
            product=path("coffee", "coffee.png"),
            scenery=path("galaxies", "hubble_deep_field.jpg"),
            speech=path("speech", "jfk.wav"),
            product_label="cup",
            transcript=(
                "And so, my fellow Americans, ask not what your country can do for you, "
                "ask what you can do for your country."
            ),
        )


# --- the truth about what was composed -------------------------------------------------------------------------


class Fact(BaseModel):
    """Base of what the truth is made of. Times are seconds, spans half-open."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shown(Fact):
    """A line of text on screen."""

    text: str
    start: float
    end: float


class Seen(Fact):
    """An object, by its COCO class."""

    label: str
    start: float
    end: float


class Moved(Fact):
    """What the camera did."""

    motion: Literal["static", "zoom_in"]
    start: float
    end: float


class Span(Fact):
    """From when until when."""

    start: float
    end: float


class Truth(Fact):
    """What is in the reel, for checking what analyzers say. `speech` spans the recording, pauses included."""

    duration_seconds: float
    width: int
    height: int
    fps: str
    cuts_seconds: tuple[float, ...]
    texts: tuple[Shown, ...]
    objects: tuple[Seen, ...]
    faces: tuple[Span, ...]
    camera: tuple[Moved, ...]
    speech: Span
    transcript: str


@dataclass(frozen=True, slots=True)
class Shot:
    """Some seconds of the reel: an endless supply of frames at `FPS`, and text over a part of them."""

    seconds: float
    frames: Iterator[Frame]
    text: str = ""
    text_from: float = 0.0
    text_until: float = float("inf")


def compose_sample(out: Path, assets: Assets) -> Truth:
    """Write the reel as an MP4 (H.264, AAC) to `out`, and its truth beside it as `truth.json`.

    Four shots with hard cuts: a portrait, moving pictures, a product, a zoom on scenery; speech over all of them.

    Raises:
        BadInput: an asset cannot be read.
    """
    shots = (
        Shot(3.0, repeat(_framed(_open(assets.portrait))), "MEET THE CREW", 0.5, 2.5),
        Shot(3.0, _moving(assets.moving)),
        Shot(2.5, repeat(_framed(_open(assets.product))), "FIRST COFFEE"),
        Shot(3.5, _zoom(_open(assets.scenery), seconds=3.5), "LINK IN BIO", 1.0),
    )
    duration = sum(shot.seconds for shot in shots)
    voice = _speech(assets.speech)[: round((duration - SPEECH_START_SECONDS) * SAMPLE_RATE)]
    sound = np.zeros(round(duration * SAMPLE_RATE), np.float32)
    first = round(SPEECH_START_SECONDS * SAMPLE_RATE)
    sound[first : first + len(voice)] = voice

    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        _encode(unfinished, shots, sound)
        truth = _truth(shots, assets, Span(start=SPEECH_START_SECONDS, end=_seconds(first + len(voice))))
        (out.parent / "truth.json").write_text(truth.model_dump_json(indent=1) + "\n", encoding="utf-8")
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return truth


def _truth(shots: tuple[Shot, ...], assets: Assets, speech: Span) -> Truth:
    starts = [sum(shot.seconds for shot in shots[:index]) for index in range(len(shots) + 1)]
    portrait, _, product, scenery = (Span(start=start, end=end) for start, end in pairwise(starts))
    return Truth(
        duration_seconds=starts[-1],
        width=WIDTH,
        height=HEIGHT,
        fps=f"{FPS}/1",
        cuts_seconds=tuple(starts[1:-1]),
        texts=tuple(
            Shown(text=shot.text, start=start + shot.text_from, end=start + min(shot.text_until, shot.seconds))
            for shot, start in zip(shots, starts, strict=False)
            if shot.text
        ),
        objects=(
            Seen(label="person", start=portrait.start, end=portrait.end),
            Seen(label=assets.product_label, start=product.start, end=product.end),
        ),
        faces=(portrait,),
        camera=(
            Moved(motion="static", start=portrait.start, end=portrait.end),
            Moved(motion="static", start=product.start, end=product.end),
            Moved(motion="zoom_in", start=scenery.start, end=scenery.end),
        ),
        speech=speech,
        transcript=assets.transcript,
    )


def _seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 3)


# --- pictures --------------------------------------------------------------------------------------------------


def _open(path: Path) -> Frame:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _cover(picture: Frame, *, middle: float = 0.5, zoom: float = 1.0) -> Frame:
    """The largest part with the reel's aspect, or one `zoom` times smaller, around `middle` (0..1) of the width."""
    scale = min(picture.width / WIDTH, picture.height / HEIGHT) / zoom
    width, height = WIDTH * scale, HEIGHT * scale
    left = min(max(picture.width * middle - width / 2, 0), picture.width - width)
    top = (picture.height - height) / 2
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


def _framed(picture: Frame) -> Frame:
    """The whole picture over a blurred copy that fills the rest, as reels show landscape pictures."""
    frame = _cover(picture).filter(ImageFilter.GaussianBlur(24)).point(lambda value: value * 0.6)
    scale = min(WIDTH / picture.width, HEIGHT / picture.height)
    whole = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    frame.paste(whole, ((WIDTH - whole.width) // 2, (HEIGHT - whole.height) // 2))
    return frame


def _zoom(picture: Frame, seconds: float) -> Iterator[Frame]:
    """A steady zoom, without end, that is `ZOOM` times closer after `seconds`."""
    large = _cover(picture)
    index = 0
    while True:
        yield _cover(large, zoom=ZOOM ** (index / FPS / seconds))
        index += 1


def _moving(path: Path) -> Iterator[Frame]:
    """The video's frames at the reel's rate, the last one for ever."""
    shown, index = None, 0
    with open_container(path) as container:
        video, _ = chosen_streams(container)
        if video is None:
            raise BadInput(f"{path}: the file has no pictures.", code="no_streams")
        for decoded in container.decode(video):
            while shown is not None and index / FPS < (decoded.time or 0.0):
                yield shown
                index += 1
            shown = _cover(Image.fromarray(decoded.to_ndarray(format="rgb24")), middle=MOVING_MIDDLE)
    if shown is not None:
        yield from repeat(shown)


def _with_text(frame: Frame, text: str) -> Frame:
    """A copy of the frame with white capitals on a dark plate in its lower part."""
    frame = frame.copy()
    draw = ImageDraw.Draw(frame, "RGBA")
    font = ImageFont.load_default(size=72)
    middle = (WIDTH / 2, HEIGHT * 0.84)
    left, top, right, bottom = draw.textbbox(middle, text, font, anchor="mm", stroke_width=1)
    draw.rounded_rectangle((left - 28, top - 20, right + 28, bottom + 20), 18, fill=(0, 0, 0, 190))
    draw.text(middle, text, "white", font, anchor="mm", stroke_width=1, stroke_fill="white")
    return frame


def _drawn(shot: Shot) -> Iterator[Frame]:
    """All frames of a shot; the same object as long as nothing changes."""
    plain = titled = None
    for index in range(round(shot.seconds * FPS)):
        frame = next(shot.frames)
        if not (shot.text and shot.text_from <= index / FPS < shot.text_until):
            yield frame
            continue
        if frame is not plain or titled is None:
            plain, titled = frame, _with_text(frame, shot.text)
        yield titled


# --- sound and file --------------------------------------------------------------------------------------------


def _speech(path: Path) -> Sound:
    """The recording, mono at the reel's sample rate."""
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    with open_container(path) as container:
        _, audio = chosen_streams(container)
        if audio is None:
            raise BadInput(f"{path}: the file has no sound.", code="no_streams")
        parts = [part.to_ndarray()[0] for frame in container.decode(audio) for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(parts)


def _encode(path: Path, shots: tuple[Shot, ...], sound: Sound) -> None:
    with av.open(os.fspath(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = CREDITS
        video = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 128_000
        drawn = (frame for shot in shots for frame in _drawn(shot))
        for index, picture in enumerate(drawn):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
