"""Text on screen: captions, titles, slides, signs, with the time each line is seen."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Frames
from shared.schema import Caption, SegmentTrack, TrackSet
from tasks.analyzer import ESSENTIAL, Analyzer, Media, ModelContext, Options
from tasks.engines.texts import TEXT_READERS, TextReader
from tasks.lines import Asked, Line, Reading, word_count
from tasks.shots import shown_until
from tasks.standing import looks
from tasks.typed import joined

PICTURES = Frames(fps=4, short_side=640, colour="rgb")


class TextOptions(Options):
    """What is read and kept."""

    min_confidence: float = Field(0.8, ge=0, le=1, description="Lines that the recogniser trusts less are dropped")
    detector_side: int = Field(640, ge=320, le=1280, description="Long side in pixels of the picture text is found in")
    min_characters: int = Field(
        2, ge=1, le=1000, description="Shorter lines are dropped: lone characters are mostly texture"
    )
    reread_seconds: float = Field(1.0, gt=0, le=1.2, description="How often moving footage is read without a cause")


class TextTracks(TrackSet):
    """`captions`: one item a line of text, from the first to the last time it is seen, and from its first letter on
    where it is typed.

    Times are good to a quarter of a second, confidence is the recogniser's.
    """

    captions: SegmentTrack[Caption]


class TextOverlay(Analyzer[TextOptions, TextTracks]):
    """PP-OCRv6 (detector and recogniser) on frames in which text may have come, lines followed by their edges.

    Four frames a second are compared cheaply; a frame is read when strong edges came that stay for two frames (text
    stands still while footage moves) or in a picture that stands until the next look, where a line has just given way
    to another, where a letter of a line has changed and stays so, and at growing intervals while anything changes. Only
    regions that no known line explains are recognised. A line that grows at its place is being typed, and is one. Text
    that is part of the scene is text as well. Missed may be: text in footage shorter than half a second (one second
    over fast motion), text on its side, and a 3 that becomes an 8 in small text.
    """

    name: ClassVar[str] = "text_overlay"
    version: ClassVar[int] = 5
    group: ClassVar[str] = "detect"
    summary: ClassVar[str] = "Text on screen line by line with its times (PP-OCRv6)"
    needs: ClassVar[tuple[Frames, ...]] = (PICTURES,)
    weights: ClassVar[dict[str, str]] = {"local": "ppocr-v6", "gpu": "ppocr-v6"}
    cost: ClassVar[float] = 0.25
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.05}
    value = ESSENTIAL

    def load(self, model: ModelContext) -> None:
        """Load the reader that the weights are for."""
        self._reader: TextReader = model.engine(TEXT_READERS)

    def analyze(self, media: Media, options: TextOptions) -> TextTracks:
        """Read the video. An empty track means that it was looked at and no text was found."""
        reading = Reading(self._reader, Asked(**options.model_dump()))
        last: tuple[float, NDArray[np.uint8]] | None = None
        for t, frame, held in looks(media, PICTURES):
            reading.step(t, frame, held=held)
            last = t, frame
            media.progress(min(1.0, t / max(media.info.duration_seconds, 1e-3)))
        if last is not None:
            reading.finish(*last)
        # ordered by start and then from top to bottom
        lines = sorted(joined(reading.done + reading.live), key=lambda line: (line.first, line.box[1]))
        until = shown_until(media, PICTURES)
        items = tuple(caption(line, f"x{number}", until) for number, line in enumerate(lines, 1))
        return TextTracks(captions=SegmentTrack[Caption](method="model", items=items))


def caption(line: Line, name: str, until: float) -> Caption:
    """A line as the document has it; one that never went is there until the last picture ends."""
    confidence, text = line.best()
    end = max(line.end or until, line.last)
    dwell = round(end - line.first, 3)
    return Caption(
        id=name,
        start=line.first,
        end=end,
        text=text,
        box=tuple(np.median(np.array(line.boxes), axis=0)),
        confidence=confidence,
        dwell_seconds=dwell,
        words_per_second=round(word_count(text) / dwell, 3) if dwell > 0 else None,
    )
