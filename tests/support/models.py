"""The real models for one analyzer's test, where the machine has them: in the folder of REELGRAPH_WEIGHTS_DIR."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from shared.errors import WeightsMissing
from shared.settings import settings
from shared.weights import Weights
from tasks.analyzer import Analyzer
from tasks.models import Models
from tests.support.system import missing

AnalyzerT = TypeVar("AnalyzerT", bound=Analyzer[Any, Any])


def loaded(analyzer: AnalyzerT) -> AnalyzerT:
    """The analyzer with its local models loaded; without them the test is skipped with the command that gets them.

    Fails instead when REELGRAPH_REQUIRE_ALL=1.
    """
    models = Models(Weights(settings().weights_dir), analyzer.weights["local"], profile="local", threads=1)
    try:
        analyzer.load(models)
    except WeightsMissing as error:
        missing(error.message)
    return analyzer


def linked(store: Path, folder: Path) -> Path:
    """A store of one's own with the files of another: what is deleted in it is still there."""
    folder.mkdir(parents=True)
    for entry in store.iterdir() if store.exists() else ():
        if entry.is_dir() and not entry.name.startswith("."):
            (folder / entry.name).mkdir()
            for file in entry.iterdir():
                (folder / entry.name / file.name).symlink_to(file)
    return folder


def nothing() -> Models:
    """What an analyzer is loaded with that has no weights, or none here."""
    return Models(Weights(settings().weights_dir), None, profile="local", threads=1)
