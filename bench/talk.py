"""A talk with slides, drawn: pages of text that change rarely, a speaker in a corner, speech over all of it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from services.evaluation.pictures import Picture, write_pictures
from shared.errors import BadInput

WIDTH, HEIGHT, FPS = 1280, 720, 25
SLIDE_SECONDS = 6
SAMPLE_RATE, BLOCK = 48_000, 1024
SPEAKER_HEIGHT, MARGIN = 320, 24
SWAY_PIXELS, SWAY_SECONDS = 6, 3.0
SLIDES = (
    (
        "A service for video",
        ("One video in, one document out", "Every analyzer is a module", "Nothing leaves the house"),
    ),
    ("How a job runs", ("The video is decoded once", "Analyzers begin when their inputs end", "A worker may die")),
    ("What we measured", ("Median of fifty jobs", "Pairs on one machine", "Figures with their commands")),
    ("What comes next", ("Longer films", "More languages", "Questions, please")),
)


def compose_talk(to: Path, reel: Path) -> Path:
    """Draw the talk into `to`, 24 s, H.264 and AAC. Speaker and speech are of `reel`: its first picture, all its sound.

    Raises:
        BadInput: the reel has no pictures or no sound.
    """
    speaker, voice = _of(reel)
    samples = np.resize(voice, round(len(SLIDES) * SLIDE_SECONDS * SAMPLE_RATE))
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f"unfinished-{to.name}")
    with av.open(str(unfinished), "w") as container:
        pictures = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        write_pictures(container, pictures, zip(count(), shown(speaker), strict=False), Fraction(1, FPS))
        for first in range(0, len(samples), BLOCK):
            block = av.AudioFrame.from_ndarray(samples[None, first : first + BLOCK], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return unfinished.replace(to)


def shown(speaker: Image.Image) -> Iterator[Picture]:
    """All pictures, rgb `(720, 1280, 3)`: slides on which nothing but the speaker moves, who sways."""
    small = speaker.resize((round(speaker.width * SPEAKER_HEIGHT / speaker.height), SPEAKER_HEIGHT))
    for number, (title, lines) in enumerate(SLIDES):
        page = slide(title, lines)
        for index in range(SLIDE_SECONDS * FPS):
            t = number * SLIDE_SECONDS + index / FPS
            away = round(SWAY_PIXELS * np.sin(2 * np.pi * t / SWAY_SECONDS))
            picture = page.copy()
            picture.paste(small, (WIDTH - small.width - MARGIN - SWAY_PIXELS + away, HEIGHT - SPEAKER_HEIGHT - MARGIN))
            yield np.asarray(picture)


def slide(title: str, lines: tuple[str, ...]) -> Image.Image:
    """A page: a title and lines below it, dark on light."""
    page = Image.new("RGB", (WIDTH, HEIGHT), (244, 242, 236))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, WIDTH, 12), fill=(30, 70, 120))
    draw.text((80, 70), title, (20, 30, 50), ImageFont.load_default(size=64))
    for number, line in enumerate(lines):
        draw.text((110, 210 + 90 * number), line, (40, 40, 40), ImageFont.load_default(size=40))
    return page


def _of(reel: Path) -> tuple[Image.Image, NDArray[np.float32]]:
    """The first picture of a video, and all its sound, mono at 48 kHz."""
    resampler, heard, first = av.AudioResampler("fltp", "mono", SAMPLE_RATE), list[NDArray[np.float32]](), None
    with av.open(str(reel)) as source:
        if not source.streams.video or not source.streams.audio:
            raise BadInput(f"{reel}: a talk takes its speaker and its speech from a video with both.")
        for frame in source.decode(source.streams.video[0], source.streams.audio[0]):
            if isinstance(frame, av.AudioFrame):
                heard += [one.to_ndarray()[0] for one in resampler.resample(frame)]
            elif first is None and isinstance(frame, av.VideoFrame):
                first = Image.fromarray(frame.to_ndarray(format="rgb24"))
    if first is None or not heard:
        raise BadInput(f"{reel}: its pictures or its sound cannot be decoded.")
    return first, np.concatenate(heard)
