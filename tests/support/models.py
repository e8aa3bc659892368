"""The real models for one analyzer's test, where the machine has them: the weights store of REELGRAPH_WEIGHTS_DIR."""

from __future__ import annotations

import os

import pytest

from shared.errors import WeightsMissing
from shared.settings import Settings
from shared.weights import Weights
from tasks.analyzer import Analyzer, Options
from tasks.models import LocalModels


def loaded(analyzer: Analyzer[Options, object]) -> Analyzer[Options, object]:
    """The analyzer with its local models loaded; skips the test on a machine that has not pulled them."""
    models = LocalModels(Weights(Settings().weights_dir), analyzer.weights["local"], profile="local", threads=1)
    try:
        analyzer.load(models)
    except WeightsMissing as error:
        (pytest.fail if os.environ.get("REELGRAPH_REQUIRE_ALL") == "1" else pytest.skip)(error.message)
    return analyzer
