"""What may be done with a media file in a process of its own, and the errand that brings it there."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shared.decode import decode_pass
from shared.media import Limits, probe
from shared.renditions import Rendition
from shared.schema import Frozen, MediaInfo
from shared.thumbnail import thumbnail

LENGTH = struct.Struct("<I")
EXIT_CODE = struct.Struct("<i")
DONE, REFUSED, ALIVE = b"=", b"!", b"."


class _OnFile(Frozen):
    """Paths travel as bytes: a file name need not be UTF-8."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    video: bytes

    @property
    def path(self) -> Path:
        """The media file."""
        return Path(os.fsdecode(self.video))


class Probing(_OnFile):
    """`shared.media.probe`; the answer is a MediaInfo as JSON."""

    kind: Literal["probing"] = "probing"
    sha256: str
    limits: Limits

    def run(self, check: Callable[[], None]) -> bytes:
        """The answer."""
        return probe(self.path, sha256=self.sha256, limits=self.limits).model_dump_json().encode()


class Picturing(_OnFile):
    """`shared.thumbnail.thumbnail`; the answer is a JPEG."""

    kind: Literal["picturing"] = "picturing"
    info: MediaInfo
    t: float
    width: int

    def run(self, check: Callable[[], None]) -> bytes:
        """The answer."""
        return thumbnail(self.path, self.info, self.t, width=self.width)


class Decoding(_OnFile):
    """`shared.decode.decode_pass`; the answer is empty. The write lock of the video comes with it as an open file."""

    kind: Literal["decoding"] = "decoding"
    info: MediaInfo
    folder: bytes
    missing: tuple[Rendition, ...]

    def run(self, check: Callable[[], None]) -> bytes:
        """Decode. `check` is called for every packet."""
        decode_pass(self.path, self.info, Path(os.fsdecode(self.folder)), self.missing, check)
        return b""


Work = Probing | Picturing | Decoding


class Errand(Frozen):
    """Work, and what the process that does it is given. `memory_bytes`: of data, beyond which it gets none."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    work: Annotated[Work, Field(discriminator="kind")]
    folder: bytes
    """The working folder, for paths that are relative."""
    memory_bytes: int
    log_level: int


class Refusal(Frozen):
    """An error of the product's own, on its way back."""

    kind: str
    code: str
    message: str
    retryable: bool
