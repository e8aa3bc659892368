"""An analyzer with an extra: it says how many bytes of a model helped it."""

from __future__ import annotations

from pydantic import Field

from shared.schema import Scalar, ScalarTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.models import Number, Weighted


class Help(TrackSet):
    """How large the model was."""

    size: ScalarTrack


class Nothing(Options):
    """Makes no difference to the work, and one to the fingerprint."""

    number: int = Field(0, description="any number")


class Bytes:
    """A model that is as much as the bytes of its file."""

    precisions: tuple[Number, ...] = ("fp32", "bf16")
    batch, worked, notes = 1, 0, ()

    def __init__(self, files: Weighted, /) -> None:
        self.files, self.size = files, 0

    def load(self) -> None:
        """Read the file."""
        self.size = len((self.files.folder / "model.safetensors").read_bytes())

    def warm_up(self) -> None:
        """Nothing is cold."""

    def free(self) -> None:
        """Forget the file."""
        self.size = 0


class Helped(Analyzer[Nothing, Help]):
    """Works with its model's file, or without."""

    name = "helped"
    version = 1
    group = "light"
    summary = "has an extra"
    extra = {"gpu": "owlv2-base"}  # noqa: RUF012  (as analyzers declare it)

    def load(self, model: ModelContext) -> None:
        """Take the extra where it is there."""
        self.model = model.extra_engine({"transformers": Bytes})

    def analyze(self, media: Media, options: Nothing) -> Help:
        """The size of what helped."""
        size = Scalar(id="size", name="size", value=self.model.size if self.model else 0, unit="bytes")
        return Help(size=ScalarTrack(method="measurement", items=(size,)))
