"""Tests of what importing a module loads."""

import json
import os
import pkgutil
import subprocess
import sys

import pytest

import tasks.analyzers
from tests.support.project import ROOT

HEAVY = frozenset(
    [
        "ai_edge_litert",
        "ctranslate2",
        "cv2",
        "faster_whisper",
        "onnx",
        "onnxruntime",
        "rapidocr",
        "scenedetect",
        "scipy",
        "torch",
        "transformers",
    ]
)
PLUMBING = frozenset(("celery", "flask", "kombu", "redis"))
PROBE = (
    "import importlib, json, sys; [importlib.import_module(m) for m in sys.argv[1:]]; print(json.dumps([*sys.modules]))"
)
ANALYZERS = tuple(f"tasks.analyzers.{module.name}" for module in pkgutil.iter_modules(tasks.analyzers.__path__))


def loaded_by(*modules, path=ROOT):
    """Names of all modules in a fresh interpreter after importing `modules`."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(ROOT)))}
    command = [sys.executable, "-c", PROBE, *modules]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environ, cwd=path, timeout=60)
    return set(json.loads(result.stdout))


def test_listing_analyzers_loads_no_model_library():
    """All analyzers can be imported, so listed, without any model library, Celery, Flask or Redis in memory."""
    loaded = loaded_by("tasks.analyzer", *ANALYZERS)
    assert loaded.issuperset(ANALYZERS)
    assert not loaded & (HEAVY | PLUMBING)


def test_what_shows_results_runs_no_tasks():
    """Reports, the live display, plans of a layout and a client of another host load no Celery application."""
    loaded = loaded_by("services.exports.html", "services.display", "services.commands.plan", "services.remote")
    assert "celery" not in loaded


@pytest.mark.parametrize("line", ["import scipy", "from redis import Redis"])
def test_a_heavy_import_is_seen(tmp_path, line):
    """The probe above sees a heavy import at the top of a module: it can fail."""
    (tmp_path / "careless.py").write_text(line)
    assert loaded_by("careless", path=tmp_path) & (HEAVY | PLUMBING)
