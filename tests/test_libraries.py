"""Libraries that are imported ahead, and files that are read ahead."""

import sys

from shared.weights import Weights
from tasks.engines.kinds import KINDS
from tasks.libraries import import_all, libraries_of, read_ahead


def test_a_module_that_cannot_be_imported_is_left_to_who_needs_it(tmp_path, monkeypatch):
    """One that is missing or broken ends nothing, and the next one is imported."""
    (tmp_path / "reelgraph_broken_library.py").write_text("raise RuntimeError")
    (tmp_path / "reelgraph_slow_library.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        import_all(["reelgraph_no_such_library", "reelgraph_broken_library", "reelgraph_slow_library"])
        assert "reelgraph_slow_library" in sys.modules
    finally:
        sys.modules.pop("reelgraph_slow_library", None)


def test_every_engine_on_torch_names_what_it_loads_with(tmp_path):
    """Entries of the hub need transformers, those of torch alone torch, and those without torch nothing."""
    weights = Weights(tmp_path)
    assert "transformers.modeling_utils" in libraries_of(weights, ["qwen2-vl-7b", "ppocr-v6"])
    assert libraries_of(weights, ["ppocr-v6", "transnetv2"]) == ("torch",)
    assert libraries_of(weights, ["whisper-tiny-en", "mediapipe-face"]) == ()
    assert {name for engines in KINDS.values() for name, kind in engines.items() if hasattr(kind, "libraries")}


def test_reading_ahead_waits_for_nothing_and_changes_nothing(tmp_path):
    """Files and folders are passed over as they are, and a folder that is gone is for who loads to complain of."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 5000)
    (tmp_path / "folder").mkdir()
    read_ahead(tmp_path)
    read_ahead(tmp_path / "gone")
    assert (tmp_path / "model.safetensors").read_bytes() == b"x" * 5000
