"""Small clips that differ in their bytes alone: each is a video of its own, which nothing knows from a cache."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.support.clips import click, make_clip
from tests.support.moving import texture

SECONDS, FPS, SIDE = 3, 30, (360, 640)


class Clips:
    """As many videos as are asked for, of one encoded clip."""

    def __init__(self, folder: Path) -> None:
        first, second = texture(1, *SIDE), texture(2, *SIDE)
        half = SECONDS * FPS // 2

        def picture(number: int, _width: int, _height: int) -> object:
            return first if number < half else second

        sound = click(float(SECONDS), [0.5, 1.5, 2.5])
        path = make_clip(folder / "clip.mp4", frames=SECONDS * FPS, fps=FPS, picture=picture, sound=sound)
        self._content = path.read_bytes()
        self._made = 0

    def another(self) -> bytes:
        """The clip with a `free` box of its own at the end, which every reader passes over."""
        self._made += 1
        return self._content + struct.pack(">I4sQ", 16, b"free", self._made)
