"""PP-OCR over the networks that lie in the rapidocr package: the same files that `ppocr-v6` pins."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tasks.devices import CPU
from tasks.engines.texts import PpOcr
from tasks.models import Number, Weighted


def packaged_folder() -> Path:
    """Where the files are."""
    spec = find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models"


def packaged(precision: Number = "fp32") -> PpOcr:
    """The engine on the CPU, loaded."""
    engine = PpOcr(Weighted("ppocr-v6", packaged_folder(), CPU, precision, 2))
    engine.load()
    return engine
