"""Tests of loading models: what cannot be loaded is an error that is kept, and never stops the others."""

import hashlib
import traceback
from collections import deque
from dataclasses import replace

import pytest

from shared.errors import Unavailable, WeightsMissing, WeightsTampered
from shared.pins import load_pins
from shared.schema import ScalarTrack, TrackSet
from shared.weights import PINS, Weights
from tasks import loading
from tasks.analyzer import Analyzer, Options
from tasks.devices import Device, DeviceLost, NoDevice, OutOfDeviceMemory
from tasks.engines.base import TorchEngine
from tasks.loading import Hardware, loaded, preload
from tasks.models import fitting
from tasks.registry import analyzers, used_entries
from tests.support.node import node
from tests.support.tiny.store import need_torch


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_ready", {})
    with node(tmp_path / "data", weights_dir=tmp_path / "weights"):
        yield


class Result(TrackSet):
    values: ScalarTrack


class Loads(Analyzer[Options, Result]):
    """Counts how often it is loaded, and raises what it is told to."""

    name = "loads"
    version = 1
    group = "light"
    summary = "made by a test"
    times = 0
    trouble = None

    def load(self, model):
        type(self).times += 1
        if self.trouble is not None:
            raise self.trouble

    def analyze(self, media, options):
        return Result(values=ScalarTrack(method="measurement"))


@pytest.fixture
def fresh():
    return type("Fresh", (Loads,), {"times": 0})


def test_a_model_is_loaded_once(fresh):
    """Every job of the process gets the same loaded analyzer."""
    assert loaded(fresh).analyzer is loaded(fresh).analyzer
    assert fresh.times == 1


@pytest.mark.parametrize("trouble", [ValueError("no such\n\tlayer"), ImportError("libx.so"), MemoryError("9 GiB")])
def test_a_load_that_raises_is_kept_as_unavailable(fresh, trouble):
    """Whatever loading raises becomes Unavailable with its type and words, and is not tried at every job."""
    fresh.trouble = trouble
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            loaded(fresh)
        assert caught.value.code == "load_failed"
        assert type(trouble).__name__ in caught.value.message
        assert " ".join(str(trouble).split()) in caught.value.message, "one line, as people read it"
    assert fresh.times == 1


def test_a_kept_error_does_not_grow(fresh):
    """Raised for job after job, the error does not hold the frames of all of them."""
    fresh.trouble = ValueError("no")
    lengths = []
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            loaded(fresh)
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(lengths)) == 1


def test_missing_weights_name_the_command():
    """On a machine that has not pulled: Unavailable, with the command that pulls them."""
    with pytest.raises(WeightsMissing, match="`reelgraph models pull mediapipe-face`") as caught:
        loaded(analyzers()["face_detection"])
    assert isinstance(caught.value, Unavailable)


def test_tampered_weights_are_refused(tmp_path):
    """A file with other bytes than pinned is not loaded; both hashes are in the message, and no model is there."""
    entry = Weights(tmp_path).entries()["mediapipe-face"]
    for file in entry.files:
        path = tmp_path / "weights" / "mediapipe-face" / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"evil")
    with pytest.raises(WeightsTampered) as caught:
        loaded(analyzers()["face_detection"])
    assert hashlib.sha256(b"evil").hexdigest() in caught.value.message
    assert any(file.sha256 in caught.value.message for file in entry.files)


def test_a_profile_without_weights_is_unavailable(tmp_path):
    """In a profile for which it has no weights an analyzer does not try to load."""
    with node(tmp_path / "gpu", profile="nowhere"), pytest.raises(Unavailable) as caught:
        loaded(analyzers()["object_detection"])
    assert caught.value.code == "not_in_profile"


def test_what_is_switched_off_loads_nothing(tmp_path):
    """A worker of a deployment that infers no personal traits does not even look for the weights."""
    with node(tmp_path / "off", infer_personal_traits=False), pytest.raises(Unavailable) as caught:
        loaded(analyzers()["age_estimation"])
    assert caught.value.code == "switched_off"


def test_preloading_goes_on_after_a_failure(monkeypatch, fresh):
    """One analyzer that cannot be loaded does not keep the others of its queue from it; other queues wait."""
    broken = type("Broken", (Loads,), {"name": "broken", "trouble": ValueError("no"), "times": 0})
    elsewhere = type("Elsewhere", (Loads,), {"name": "elsewhere", "group": "detect", "times": 0})
    monkeypatch.setattr(loading, "analyzers", lambda: {one.name: one for one in (broken, elsewhere, fresh)})
    (unavailable,) = preload(("light",)).items()
    assert unavailable == ("broken", ("load_failed", "its model cannot be loaded: ValueError: no"))
    assert (broken.times, fresh.times, elsewhere.times) == (1, 1, 0)
    assert set(loading._ready) == {"broken", "loads"}


def test_preloading_does_not_hide_a_process_that_is_told_to_end(monkeypatch, fresh):
    """SystemExit is not an answer of a model: it leaves preload, so that the worker's child can end."""
    fresh.trouble = SystemExit(3)
    monkeypatch.setattr(loading, "analyzers", lambda: {fresh.name: fresh})
    with pytest.raises(SystemExit):
        preload(("light",))


def test_the_receipt_says_why_it_is_not_the_gpu(tmp_path, fresh):
    """In the gpu profile what should be on the GPU, and is not, has a reason; elsewhere there is nothing to explain."""
    fresh.group, fresh.weights = "detect", {"local": "ppocr-v6", "gpu": "ppocr-v6"}
    for changed, notes in (
        ({"profile": "local"}, ()),
        ({"profile": "gpu", "device": "cpu"}, ("on the CPU: REELGRAPH_DEVICE=cpu",)),
        ({"profile": "gpu"}, ("on the CPU: ONNX Runtime and LiteRT have no GPU here",)),
    ):
        loading._ready.clear()
        with node(tmp_path / "data", **changed):
            assert loaded(fresh).hardware == Hardware("cpu", None, notes)


@pytest.mark.parametrize("name", ["product_detection", "cut_analysis"])
def test_the_receipt_says_it_of_an_extra_s_model_too(tmp_path, name):
    """An analyzer whose only model is an extra has the reason where that is loaded, and none where it is not."""
    with node(tmp_path / "data", profile="gpu", device="cpu"):
        assert loading._off_gpu(analyzers()[name], with_engine=True) == ("on the CPU: REELGRAPH_DEVICE=cpu",)
        assert loading._off_gpu(analyzers()[name], with_engine=False) == ()


# --- on a GPU, as a worker of the gpu profile would be: what it may use is said by the test --------------------------

OTHERS = {
    "qwen2.5-vl-7b": "qwen2_vl_temporal",
    "qwen3-vl-8b": "qwen2_vl_temporal",
    "d-fine-large": "object_detection",
    "whisper-large-v3": "speech_transcription",
    "whisper-tiny-en": "speech_transcription",
    "upernet-convnext-small": "background_segmentation",
}
"""Entries that no analyzer uses by itself in the gpu profile, and one that can."""
USERS = {entry: name for name, one in analyzers().items() for entry in used_entries(one, "gpu")}


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A worker of the gpu profile; call it with the MiB that it may use and the analyzers that there are."""
    monkeypatch.setattr(loading, "_precisions", {})
    monkeypatch.setattr(loading, "_queues", [])
    monkeypatch.setattr(loading, "_aside_mib", deque([0], maxlen=1))
    monkeypatch.setattr(loading, "read_ahead", lambda _: None)
    monkeypatch.setattr(loading, "import_all", lambda _: None)  # seconds of torch for every test

    def have(room_mib, *served):
        monkeypatch.setattr(loading, "_gpu", lambda: Device("cuda:0", room_mib))
        monkeypatch.setattr(loading, "analyzers", lambda: {one.name: one for one in served})

    with node(tmp_path / "gpu", profile="gpu", weights_dir=tmp_path / "weights"):
        yield have


def test_every_model_for_a_gpu_is_tried_below():
    """An entry that an engine holds on a GPU has an analyzer here."""
    assert {name for name, entry in load_pins(PINS).entries.items() if entry.uses_gpu} <= {*USERS, *OTHERS}


@pytest.mark.parametrize("entry", sorted(name for name, one in load_pins(PINS).entries.items() if one.uses_gpu))
def test_a_start_without_room_is_refused(entry, gpu, tmp_path, monkeypatch):
    """Whatever the entry: a worker that may use a MiB less than its model takes at least does not start to load it."""
    analyzer = analyzers()[OTHERS.get(entry) or USERS[entry]]
    known = load_pins(PINS).entries[entry].memory_mib
    least = min(known.get("nf4", known["bf16"]), known["bf16"])
    monkeypatch.setattr(Weights, "on_disk", lambda *_: "complete")
    chosen = {analyzer.name: entry} if entry in OTHERS else {}
    with node(tmp_path / "gpu", profile="gpu", weights_dir=tmp_path / "weights", models=chosen):
        gpu(least - 1, analyzer)
        with pytest.raises(NoDevice, match=rf"take \d+ MiB .* may use {least - 1}: .*{entry} of .*{analyzer.name}"):
            preload((analyzer.group,))


def test_torch_leaves_room_for_what_allocates_past_it(gpu, tmp_path, monkeypatch):
    """faster-whisper's memory is taken off what torch may use, which batches are sized by, and it fits all the same."""
    analyzer = analyzers()["speech_transcription"]
    chosen = {analyzer.name: "whisper-large-v3"}
    set_aside = lambda device, mib: replace(device, memory_mib=device.memory_mib - mib, aside_mib=mib)  # noqa: E731
    monkeypatch.setattr(loading, "set_aside", set_aside)
    with node(tmp_path / "gpu", profile="gpu", weights_dir=tmp_path / "weights", models=chosen):
        gpu(5_000, analyzer)
        loading._agree([analyzer])
        device = loading._device_of(analyzer.group)
        assert (device.memory_mib, device.aside_mib) == (500, 4_500)
        known = load_pins(PINS).entries["whisper-large-v3"].memory_mib
        assert fitting("bf16", known, device) == "bf16"
        with pytest.raises(NoDevice, match="and this worker may use 5000"):
            fitting("fp32", known, device)


def test_libraries_are_imported_before_the_gpu_is_claimed(gpu, monkeypatch):
    """What models that are here are loaded with is asked for before their memory; what is not here asks nothing."""
    asked = []

    monkeypatch.setattr(loading, "import_all", asked.append)
    monkeypatch.setattr(loading, "_agree", lambda _: asked.append("claimed"))
    gpu(100_000, analyzers()["blip2_caption"])
    preload(("caption",))
    monkeypatch.setattr(Weights, "on_disk", lambda *_: "complete")
    preload(("caption",))
    assert asked == [(), "claimed", TorchEngine.libraries, "claimed"]


def test_an_extra_that_is_not_here_takes_no_room(gpu):
    """Without its file cut_analysis works with less: the start is not refused for a model that is not loaded."""
    gpu(100, analyzers()["cut_analysis"])
    preload(("detect",))
    assert analyzers()["cut_analysis"].name in loading._ready


OUT = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation of memory management.")


class Warms:
    """An engine that fails when it is warmed up."""

    def warm_up(self):
        raise OUT


def loads_and_warms(self, model):
    model.engines.append(Warms())


@pytest.mark.parametrize("more", [{"trouble": OUT}, {"load": loads_and_warms}])
def test_memory_that_runs_out_ends_the_start(gpu, fresh, more):
    """Whether the weights or the warm-up need it: one sentence with what the worker may use and who ran out."""
    greedy = type("Greedy", (fresh,), {"name": "greedy", "group": "vlm", **more})
    gpu(8000, greedy)
    with pytest.raises(OutOfDeviceMemory, match=r"take more than the 8000 MiB .* while greedy was loaded") as caught:
        preload(("vlm",))
    assert "\n" not in caught.value.message
    assert "See the documentation" not in caught.value.message


def test_memory_that_runs_out_later_is_tried_again(gpu, fresh):
    """After an unload another process may hold the memory for a while: the next job loads anew."""
    greedy = type("Greedy", (fresh,), {"name": "greedy", "group": "vlm", "trouble": OUT})
    gpu(8000, greedy)
    for _ in range(2):
        with pytest.raises(OutOfDeviceMemory):
            loaded(greedy)
    greedy.trouble = None
    assert loaded(greedy).analyzer
    assert greedy.times == 3


def test_on_a_cpu_it_is_the_model_that_cannot_be_loaded(fresh):
    """Where no GPU is short, the other analyzers of the worker go on without this one."""
    fresh.trouble = OUT
    with pytest.raises(Unavailable):
        loaded(fresh)


@pytest.mark.engines
def test_a_gpu_that_fails_while_loading_ends_the_start(gpu, fresh):
    """A device error in a load leaves the process without a GPU: no worker starts with it."""
    need_torch()
    import torch  # noqa: F401  (its errors are told only where it is loaded, as it is where a model failed)

    broken = type("Broken", (fresh,), {"name": "broken", "group": "vlm", "trouble": RuntimeError("CUDA error: lost")})
    gpu(8000, broken)
    with pytest.raises(DeviceLost, match="the GPU failed while broken was loaded: CUDA error: lost"):
        preload(("vlm",))
