"""Which models a deployment has: REELGRAPH_MODELS, REELGRAPH_PRECISION and pins of its own, in every command."""

import json
import os
import subprocess
import sys

import pytest

from services.cli import cli
from services.commands import models
from services.commands.plan import loads
from shared.errors import BadInput
from shared.hub import LockedEntry, LockedFile, add_to_lock
from shared.pins import load_pins
from shared.weights import LOCK, PINS
from tasks.engines.kinds import KINDS
from tasks.node import weights
from tasks.provenance import expected
from tasks.registry import analyzers, check_models
from tests.support.node import NOBODY, node
from tests.support.web import pinned, sha256, write_pins
from tests.test_models_command import reelgraph

FILE = b"weights of a small model"
ARTIFACTS = {"own": pinned(FILE, source="file", path="/nowhere/net.bin")}
NET = pinned(FILE, name="model.bin", artifact="own")


@pytest.fixture
def own(tmp_path):
    """A pins file with an entry of its own, and other files for one of this version."""
    return write_pins(tmp_path / "own.toml", ARTIFACTS, {"net": [NET], "brisque": [NET]}, net='engine = "qwen-vl"')


def test_own_pins_are_laid_over_the_shipped_ones(own):
    """A second file adds entries and replaces those of its names, whole; all others and their artifacts stay."""
    shipped, both = load_pins(PINS), load_pins(PINS, own)
    assert both.entries.keys() == shipped.entries.keys() | {"net"}
    assert [file.name for file in both.entries["brisque"].files] == ["model.bin"]
    assert {name: one for name, one in both.entries.items() if name in shipped.entries and name != "brisque"} == {
        name: one for name, one in shipped.entries.items() if name != "brisque"
    }
    assert both.artifacts.keys() == shipped.artifacts.keys() | {"own"}


def test_own_entries_may_use_shipped_artifacts(tmp_path):
    """An entry of one's own takes a file out of a wheel that this version pins."""
    member = pinned(FILE, name="x.tflite", artifact="mediapipe", member="mediapipe/x.tflite")
    pins = load_pins(PINS, write_pins(tmp_path / "own.toml", {}, {"net": [member]}))
    assert pins.entries["net"].files[0].artifact == "mediapipe"


BOTH = """
[entries.net]
summary = "n"
licence = "n"
hub = "a/b"
vram_mib = { bf16 = 2 }
derived_vram_mib = { bf16 = 3 }
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[entries.net]\nsummary = 1", r"own\.toml: entries\.net\.summary: "),
        ("[entry.net]", r"own\.toml: entry: a pins file has artifacts and entries"),
        ("entries = 3", r"own\.toml: entries: is no table"),
        ("[", r"own\.toml: "),
        (
            BOTH,
            "memory in bf16 is either measured or derived",
        ),
    ],
)
def test_own_pins_that_cannot_be_used(tmp_path, text, message):
    """One sentence with the name of the file that is wrong, which is not that of this version."""
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(BadInput, match=message):
        load_pins(PINS, tmp_path / "own.toml")


def test_own_pins_leave_the_profile_s_models_there(own, tmp_path, monkeypatch):
    """With a pins file of one entry, locking what the profile uses asks the hub; it does not stumble over the rest."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    done = reelgraph("models", "lock", "--weights", tmp_path, code=3, REELGRAPH_PINS_FILE=str(own))
    assert done.stderr.startswith("reelgraph: the hub cannot be asked for")


def test_pulling_and_locking_follow_the_chosen_models(own, tmp_path):
    """What REELGRAPH_MODELS puts in place of a model is what the profile's name stands for; the other is not."""
    with node(tmp_path, models={"qwen2_vl_temporal": "qwen3-vl-8b", "cut_analysis": "net"}, pins_file=own):
        used = models.declared("gpu")
    assert {"qwen3-vl-8b", "net"} <= set(used)
    assert not {"qwen2-vl-7b", "transnetv2"} & set(used)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"models": {"blip2_caption": "blip9"}},
            "REELGRAPH_MODELS: there are no weights 'blip9' for blip2_caption; .*b",
        ),
        (
            {"models": {"blip9": "blip2-opt-2.7b"}},
            "REELGRAPH_MODELS: 'blip9' is no analyzer with a model; .*blip2_capt",
        ),
        ({"models": {"audio_analysis": "net"}}, "REELGRAPH_MODELS: 'audio_analysis' is no analyzer with a model"),
        ({"precision": {"blip9": "nf4"}}, "REELGRAPH_PRECISION: 'blip9' is no analyzer with a model"),
        (
            {"models": {"object_detection": "ast-audioset"}},
            "ast-audioset is not of the kind that object_detection reads; these are: nanodet-m-416, rtdetr-v2-r50, d-f",
        ),
        (
            {"models": {"product_detection": "rtdetr-v2-r50"}},
            "kind that product_detection reads; these are: owlv2-base",
        ),
        ({"models": {"face_detection": "brisque"}}, "that face_detection reads; these are: mediapipe-face"),
        ({"models": {"face_detection": "owlv2-base"}}, "that face_detection reads; these are: mediapipe-face"),
        ({"precision": {"text_overlay": "nf4"}}, "ppocr-v6 of text_overlay comes in fp32, not in nf4"),
        (
            {"precision": {"object_detection": "int8"}},
            "rtdetr-v2-r50 of object_detection comes in fp32 and bf16, not in",
        ),
        (
            {"precision": {"product_detection": "nf4"}},
            "owlv2-base of product_detection comes in fp32 and bf16, not in n",
        ),
        (
            {"precision": {"face_detection": "bf16"}},
            "mediapipe-face of face_detection comes in one format, not in bf16",
        ),
        (
            {"precision": {"content_quality": "nf4"}},
            "aesthetics-v2-l14 of content_quality comes in fp32 and bf16, not in nf4",
        ),
        (
            {"models": {"speech_transcription": "whisper-large-v3"}, "precision": {"speech_transcription": "nf4"}},
            "whisper-large-v3 of speech_transcription comes in fp32 and bf16 and int8, not in nf4",
        ),
    ],
)
def test_a_choice_of_what_is_not_there(tmp_path, chosen, message):
    """One sentence: which variable, which name, which names there are; entries of another kind, and precisions that an
    engine lacks, are not there either."""
    with node(tmp_path, **chosen), pytest.raises(BadInput, match=message):
        check_models("gpu")


@pytest.mark.parametrize(
    "chosen",
    [
        {"models": {"qwen2_vl_temporal": "qwen3-vl-8b", "object_detection": "d-fine-large"}},
        {"models": {"speech_transcription": "whisper-large-v3"}, "precision": {"speech_transcription": "int8"}},
        {"precision": {"qwen2_vl_temporal": "nf4", "object_detection": "bf16", "text_overlay": "auto"}},
        {"precision": {"content_quality": "fp32"}},  # of its judge: its other file has no engine
    ],
)
def test_a_choice_of_what_is_there(tmp_path, chosen):
    """Entries of the analyzer's kind, in precisions of their engines, are taken."""
    with node(tmp_path, **chosen):
        check_models("gpu")


def test_an_entry_of_one_s_own_needs_no_kind(own, tmp_path):
    """An engine that does what the analyzer needs is enough; one that does something else is refused."""
    with node(tmp_path, models={"qwen2_vl_temporal": "net"}, pins_file=own):
        check_models("gpu")
    with (
        node(tmp_path, models={"blip2_caption": "net"}, pins_file=own),
        pytest.raises(BadInput, match="net is not of the kind that blip2_caption reads"),
    ):
        check_models("gpu")


@pytest.mark.parametrize(
    ("kind", "engine", "said"),
    [
        ("descriptions", "blip-2", "net: the engine 'blip-2' is none for descriptions; these are: qwen-vl"),
        ("descriptionz", "qwen-vl", "net: there is no kind 'descriptionz'; there are aesthetics, "),
    ],
)
def test_an_engine_must_be_one_of_its_kind(tmp_path, kind, engine, said):
    """An own entry that says one thing and names an engine for another is refused before any worker starts."""
    lines = f'kind = "{kind}"\nengine = "{engine}"'
    pins = write_pins(tmp_path / "own.toml", ARTIFACTS, {"net": [NET]}, net=lines)
    for chosen in ({}, {"qwen2_vl_temporal": "net"}):
        with node(tmp_path, models=chosen, pins_file=pins), pytest.raises(BadInput, match=f"^{said}"):
            check_models("gpu")


def test_own_entries_without_a_kind_in_the_place_of_all(tmp_path):
    """What their engine can do counts where no entry of the analyzer names a kind."""
    entry = {"segformer-b4": 'engine = "transformers"'}
    pins = write_pins(tmp_path / "own.toml", ARTIFACTS, {"segformer-b4": [NET]}, **entry)
    with node(tmp_path, precision={"background_segmentation": "fp32"}, pins_file=pins):
        check_models("gpu")


@pytest.mark.parametrize(
    ("analyzer", "engine"), [("speech_transcription", "openai-whisper"), ("object_detection", "mmdet")]
)
def test_an_engine_without_a_shipped_entry_needs_one_entry_and_nothing_else(tmp_path, analyzer, engine):
    """OpenAI's Whisper and mmdet have no hub: an entry in a pins file of one's own is pulled, planned and taken."""
    pins = write_pins(
        tmp_path / "own.toml", ARTIFACTS, {"net": [NET]}, net=f'engine = "{engine}"\nvram_mib = {{ bf16 = 9 }}'
    )
    with node(tmp_path, models={analyzer: "net"}, precision={analyzer: "bf16"}, pins_file=pins):
        check_models("gpu")
        assert "net" in models.declared("gpu")
        (placed,) = (one.models for one in loads({}) if one.analyzer == analyzer)
        assert placed["net"].vram_mib == {"bf16": 9}


def test_every_shipped_entry_of_an_engine_has_its_kind():
    """Else a choice of it could not be checked: the kind is known, and has that engine."""
    for name, entry in load_pins(PINS).entries.items():
        assert (entry.engine is None) == (entry.kind is None), name
        assert entry.kind is None or entry.engine in KINDS[entry.kind], name


@pytest.mark.parametrize(
    "command",
    [
        ("models", "lock"),
        ("models", "pull", "--profile", "gpu"),
        ("models", "list"),
        ("doctor",),
        ("plan", "--gpu-memory", "80GiB"),
        ("worker", "--groups", "vlm"),
        ("analyzers",),
    ],
    ids=" ".join,
)
def test_every_command_refuses_it(command, tmp_path):
    """Each says the sentence before anything is asked, pulled or started."""
    with (
        node(tmp_path, models={"qwen2_vl_temporal": "qwen9"}),
        pytest.raises(BadInput, match="there are no weights 'q"),
    ):
        cli.main(list(command), standalone_mode=False)


def test_it_is_bad_input(tmp_path):
    """For a person: exit code 2, one line with the names that there are, no traceback."""
    chosen = json.dumps({"qwen2_vl_temporal": "qwen9"})
    done = reelgraph("models", "lock", code=2, REELGRAPH_DATA_DIR=str(tmp_path), REELGRAPH_MODELS=chosen)
    assert done.stderr.startswith("reelgraph: REELGRAPH_MODELS: there are no weights 'qwen9' for qwen2_vl_temporal")
    assert "qwen2-vl-7b" in done.stderr


def test_a_worker_that_celery_starts_refuses_it(tmp_path):
    """The plain Celery command ends with exit code 2 and the sentence in its log; it looks for no broker."""
    program = "import sys; from celery.__main__ import main; sys.exit(main())"
    arguments = ("-A", "tasks", "worker", "-Q", "vlm", "-n", "refused@test")
    chosen = {"REELGRAPH_MODELS": json.dumps({"qwen9_temporal": "qwen2-vl-7b"})}
    environ = {**os.environ, **chosen, "REELGRAPH_DATA_DIR": str(tmp_path), "REELGRAPH_BROKER_URL": NOBODY}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "'qwen9_temporal' is no analyzer with a model" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_profile_is_refused(tmp_path):
    """A worker of a profile that no group knows ends as other commands do: exit code 2 and those that are known."""
    environ = {"REELGRAPH_PROFILE": "GPU", "REELGRAPH_DATA_DIR": str(tmp_path), "REELGRAPH_BROKER_URL": NOBODY}
    done = reelgraph("worker", "--groups", "vlm", code=2, **environ)
    assert done.stderr == "reelgraph: unknown profile 'GPU'; known are local, gpu\n"


def test_unloading_without_a_broker_is_one_sentence(tmp_path):
    """A broker that is gone is told by its address, without its password, and exit code 3."""
    environ = {"REELGRAPH_BROKER_URL": "redis://:secret@127.0.0.1:1/0", "REELGRAPH_DATA_DIR": str(tmp_path)}
    done = reelgraph("unload", "vlm", code=3, **environ)
    assert done.stderr.startswith("reelgraph: the broker redis://")
    assert "cannot be used: " in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def locked_by_hand(folder, entry, content, *, reviewed):
    """An entry of a hub as `models lock` or `pull --unlocked` leaves it, with its one file."""
    (folder / entry).mkdir(parents=True)
    (folder / entry / "model.safetensors").write_bytes(content)
    file = LockedFile(name="model.safetensors", sha256=sha256(content), size_bytes=len(content))
    hub = load_pins(PINS).entries[entry].hub
    known = LockedEntry(repository=hub, revision="0" * 40, files=(file,), reviewed=reviewed)
    add_to_lock(folder / LOCK, {entry: known})


def test_doctor_tells_weights_from_extras(tmp_path):
    """What analyzers need and what they only make use of stand there by name: missing, not locked, taken unlocked."""
    store = tmp_path / "weights"
    locked_by_hand(store, "owlv2-base", FILE, reviewed=False)
    locked_by_hand(store, "qwen2-vl-7b", FILE, reviewed=True)
    environ = {"REELGRAPH_PROFILE": "gpu", "REELGRAPH_WEIGHTS_DIR": str(store), "COLUMNS": "250"}
    said = reelgraph("doctor", REELGRAPH_DATA_DIR=str(tmp_path / "data"), **environ).stdout
    lines = {words[1]: line for line in said.splitlines() if (words := line.replace("│", " ").split())[1:]}
    assert "weights qwen2-vl-7b" in lines["qwen2-vl-7b"]
    assert "complete" in lines["qwen2-vl-7b"]
    assert "weights blip2-opt-2.7b" in lines["blip2-opt-2.7b"]
    assert "not locked" in lines["blip2-opt-2.7b"]
    assert "reelgraph models lock blip2-opt-2.7b" in lines["blip2-opt-2.7b"]
    assert "extra owlv2-base" in lines["owlv2-base"]
    assert "complete, taken unlocked" in lines["owlv2-base"]
    assert "extra transnetv2" in lines["transnetv2"]
    assert "absent" in lines["transnetv2"]
    assert "(without: cut_analysis does less)" in lines["transnetv2"]


def test_extras_that_nobody_reviewed_are_known(tmp_path):
    """An analyzer whose own weights need no review says false when its extra came unlocked; null without any."""
    store = tmp_path / "weights"

    def reviewed(name):
        weights.cache_clear()
        return expected(analyzers()[name], "gpu").reviewed

    with node(tmp_path / "data", weights_dir=store, profile="gpu"):
        assert reviewed("product_detection") is None
        locked_by_hand(store, "owlv2-base", FILE, reviewed=False)
        assert reviewed("product_detection") is False
        locked_by_hand(store, "aesthetics-v2-l14", FILE, reviewed=True)
        assert reviewed("content_quality") is True
