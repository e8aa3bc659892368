"""Locking and pulling hub models, against a server that answers like the hub and refuses what the hub refuses."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.download import Patience
from shared.errors import BadInput, Infrastructure, WeightsMissing, WeightsTampered
from shared.hub import LockedEntry, LockedFile, add_to_lock, ask, read_lock
from shared.pins import Entry
from shared.weights import Weights
from tests.support.project import ROOT
from tests.support.web import Site, served

REVISION, NEWER = "0123456789" * 4, "abcdef0123" * 4
TENSORS, CONFIG = b"tensors " * 5000, b'{"model_type": "tiny"}'
PINS = '[entries.net]\nsummary = "a model"\nlicence = "MIT"\nhub = "some/model"\n'
MAIN = "import sys; from services.cli import main; sys.argv[0] = 'reelgraph'; main()"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def repository(revision, tensors=TENSORS):
    """What the hub serves of a repository: its description, and every file at that revision."""
    siblings = [
        {"rfilename": "config.json", "size": len(CONFIG), "blobId": "0" * 40},
        {
            "rfilename": "model.safetensors",
            "size": len(tensors),
            "blobId": "1" * 40,
            "lfs": {"size": len(tensors), "sha256": sha256(tensors), "pointerSize": 134},
        },
        {"rfilename": "pytorch_model.bin", "size": 9, "blobId": "2" * 40},
        {"rfilename": "onnx/model.onnx", "size": 9, "blobId": "3" * 40},
        {"rfilename": "README.md", "size": 9, "blobId": "4" * 40},
    ]
    about = json.dumps({"id": "some/model", "sha": revision, "siblings": siblings}).encode()
    return {
        "/api/models/some/model?blobs=true": about,
        "/api/models/some/model?blobs=True": about,
        f"/some/model/resolve/{revision}/config.json": CONFIG,
        f"/some/model/resolve/{revision}/model.safetensors": tensors,
    }


@pytest.fixture
def pins(tmp_path):
    path = tmp_path / "pins.toml"
    path.write_text(PINS)
    return path


@contextmanager
def hub(files):
    with served(Site(files)) as site:
        yield site


def reelgraph(site, pins, folder, *arguments, code=0, token=""):
    """Run the command line against the hub; returns the finished process."""
    environ = {
        **os.environ,
        "HF_ENDPOINT": site.url if site else "http://127.0.0.1:9",
        "HF_HOME": str(folder / "home of the hub's client"),
        "HF_TOKEN": token,
        "REELGRAPH_PINS_FILE": str(pins),
        "REELGRAPH_WEIGHTS_DIR": str(folder),
    }
    command = [sys.executable, "-c", MAIN, "models", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def test_lock_writes_revision_and_hashes_and_pull_obeys(tmp_path, pins):
    """Locking asks the hub once; pulling brings that revision's files, those that are used; verify accepts them."""
    store = tmp_path / "store"
    with hub(repository(REVISION)) as site:
        said = reelgraph(site, pins, store, "lock", "net").stdout
        assert f"net: some/model at {REVISION}, 2 files" in said
        known = read_lock(store / "hub.lock.json").entries["net"]
        assert known.revision == REVISION
        assert {file.name: file.sha256 for file in known.files} == {
            "config.json": sha256(CONFIG),
            "model.safetensors": sha256(TENSORS),
        }
        assert known.reviewed
        reelgraph(site, pins, store, "pull", "net")
    assert (store / "net/model.safetensors").read_bytes() == TENSORS
    assert sorted(path.name for path in (store / "net").iterdir()) == ["config.json", "model.safetensors"]
    assert reelgraph(None, pins, store, "verify", "net").stdout == "net: every file is the pinned one\n"


def test_after_the_lock_nothing_else_is_taken(tmp_path, pins):
    """A hub that later serves other bytes at the locked revision is refused, with both hashes; nothing is stored."""
    store = tmp_path / "store"
    with hub(repository(REVISION)) as site:
        reelgraph(site, pins, store, "lock", "net")
        other = b"x" * len(TENSORS)
        site.files[f"/some/model/resolve/{REVISION}/model.safetensors"] = other
        said = reelgraph(site, pins, store, "pull", "net", code=3).stderr
    assert sha256(TENSORS) in said
    assert sha256(other) in said
    assert not (store / "net/model.safetensors").exists()


def test_a_newer_revision_waits_for_the_next_lock(tmp_path, pins):
    """A push to the repository changes nothing until somebody locks again; then the digest changes."""
    store = tmp_path / "store"
    newer = repository(NEWER, b"better " * 6000)
    with hub(repository(REVISION)) as site:
        reelgraph(site, pins, store, "lock", "net")
        before = Weights(store, pins).digest("net")
        site.files.update(newer)
        reelgraph(site, pins, store, "pull", "net")
        assert (store / "net/model.safetensors").read_bytes() == TENSORS
        assert Weights(store, pins).digest("net") == before
        reelgraph(site, pins, store, "lock", "net")
    assert Weights(store, pins).digest("net") != before
    assert Weights(store, pins).on_disk("net") == "complete"
    with pytest.raises(WeightsTampered):
        Weights(store, pins).path("net", "model.safetensors")


def test_an_unlocked_pull_is_asked_for_and_remembered(tmp_path, pins):
    """Without --unlocked nothing is fetched; with it the files come as they are, and are known as not reviewed."""
    store = tmp_path / "store"
    with hub(repository(REVISION)) as site:
        said = reelgraph(site, pins, store, "pull", "net", code=3).stderr
        assert "`reelgraph models lock net`" in said
        assert site.asked == []
        reelgraph(site, pins, store, "pull", "--unlocked", "net")
        assert not Weights(store, pins).is_reviewed("net")
        assert Weights(store, pins).verify(["net"]) == []
        reelgraph(site, pins, store, "lock", "net")
    assert Weights(store, pins).is_reviewed("net")


def test_a_repository_that_is_not_there(tmp_path, pins):
    """What the hub does not give is one sentence with its name, exit code 3, and no lock file."""
    with hub({}) as site:
        said = reelgraph(site, pins, tmp_path / "store", "lock", "net", code=3).stderr
    assert said.startswith("reelgraph: the hub does not give some/model: Client error '404 Not Found'")
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "store/hub.lock.json").exists()


TOKEN = "hf_of_a_test"
CONFIG_AT, TENSORS_AT = (f"/some/model/resolve/{REVISION}/{name}" for name in ("config.json", "model.safetensors"))


def test_a_gated_model_is_locked_and_pulled_with_the_token(tmp_path, pins):
    """The token goes with questions and downloads, over redirects of the hub to itself, and never to another host."""
    with hub({"/stored": TENSORS}) as elsewhere, hub(repository(REVISION)) as site:
        site.token = TOKEN
        site.files["/again"] = site.files.pop(CONFIG_AT)
        site.moved = {CONFIG_AT: "/again", TENSORS_AT: f"{elsewhere.url}/stored"}
        reelgraph(site, pins, tmp_path / "store", "lock", "net", token=TOKEN)
        reelgraph(site, pins, tmp_path / "store", "pull", "net", token=TOKEN)
    assert Weights(tmp_path / "store", pins).verify(["net"]) == []
    of_model = {path: shown for path, shown in site.shown if "some/model" in path or path == "/again"}
    assert set(of_model.values()) == {f"Bearer {TOKEN}"}, site.shown
    assert {CONFIG_AT, TENSORS_AT, "/again"} < of_model.keys()
    assert elsewhere.shown == [("/stored", None)]


@pytest.mark.parametrize(
    ("token", "status", "way_in"),
    [("", 401, "HF_TOKEN may be needed"), ("hf_other", 403, "the token of HF_TOKEN has no access to it")],
)
def test_what_a_hub_refuses_names_entry_file_and_token(tmp_path, pins, token, status, way_in):
    """Asking and pulling without access are one sentence each, with the entry's name and a way in; never the token."""
    with hub(repository(REVISION)) as site:
        reelgraph(site, pins, tmp_path / "store", "lock", "net")
        site.token = TOKEN
        asked = reelgraph(site, pins, tmp_path / "store", "lock", "net", code=3, token=token).stderr
        pulled = reelgraph(site, pins, tmp_path / "store", "pull", "net", code=3, token=token).stderr
    assert asked.startswith("reelgraph: net: the hub does not give some/model: ")
    last = pulled.splitlines()[-1]
    assert last.startswith("reelgraph: net.config.json: some/model/config.json: the server refuses the download")
    assert f"HTTP {status}" in last
    for said in (asked, last):
        assert way_in in said
        assert "hf_other" not in said


def test_locks_at_the_same_time_lose_nothing(tmp_path):
    """Twelve who add an entry each are all in the file, and leave nothing beside it."""
    file = LockedFile(name="x", sha256="0" * 64, size_bytes=1)
    entry = LockedEntry(repository="a/b", revision=REVISION, files=(file,))
    names = [f"net{number}" for number in range(12)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: add_to_lock(tmp_path / "hub.lock.json", {name: entry}), names))
    assert sorted(read_lock(tmp_path / "hub.lock.json").entries) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["hub.lock.json"]


def described(files, revision=REVISION):
    """What the hub answers about a repository that holds these files besides config.json."""
    site = repository(revision)
    about = json.loads(site["/api/models/some/model?blobs=true"])
    about["siblings"] = [about["siblings"][0], *files]
    return site | dict.fromkeys(list(site)[:2], json.dumps(about).encode())


def sibling(name, digest="0" * 64):
    lfs = {"size": 9, "sha256": digest, "pointerSize": 134}
    return {"rfilename": name, "size": 9, "blobId": "5" * 40, "lfs": lfs}


def test_files_of_odd_names_that_nobody_asked_for_are_left_out(tmp_path, pins):
    """A blank or a leading dot in the name of a file that merely lies there keeps no model from being locked."""
    odd = [sibling("a b.json"), sibling(".x.json"), sibling("model.safetensors")]
    with hub(described(odd)) as site:
        reelgraph(site, pins, tmp_path / "store", "lock", "net")
    known = read_lock(tmp_path / "store/hub.lock.json").entries["net"]
    assert [file.name for file in known.files] == ["config.json", "model.safetensors"]


def test_a_repository_without_weights_is_not_locked(tmp_path, pins):
    """By the default patterns only config.json is there: one sentence names the entry, the pickle and `hub_files`."""
    store = tmp_path / "store"
    with hub(described([sibling("pytorch_model.bin")])) as site:
        for asked in (("lock", "net"), ("pull", "--unlocked", "net")):
            said = reelgraph(site, pins, store, *asked, code=2).stderr
            assert said.startswith(
                "reelgraph: net: some/model has no file of weights *.safetensors, but pytorch_model.bin"
            )
            assert "`hub_files`" in said
            assert len(said.splitlines()) == 1
        assert not (store / "hub.lock.json").exists()
        pins.write_text(PINS + 'hub_files = ["*.json", "pytorch_model.bin"]\n')
        assert "2 files" in reelgraph(site, pins, store, "lock", "net").stdout
        pins.write_text(PINS + 'hub_files = ["*.json", "model.bin"]\n')
        said = reelgraph(site, pins, store, "lock", "net", code=2).stderr
        assert said == "reelgraph: net: some/model has no file model.bin, which the entry's `hub_files` name\n"


def test_one_of_several_that_cannot_be_locked_keeps_none_of_the_others(tmp_path, pins):
    """What could be locked is written down, what could not is named with its reason, and the exit code is 1."""
    pins.write_text(PINS + PINS.replace("net", "gone").replace("some/model", "some/gone"))
    with hub(repository(REVISION)) as site:
        done = reelgraph(site, pins, tmp_path / "store", "lock", "gone", "net", code=1)
    assert f"net: some/model at {REVISION}" in done.stdout
    assert done.stderr.startswith("reelgraph: gone: the hub does not give some/gone: ")
    assert list(read_lock(tmp_path / "store/hub.lock.json").entries) == ["net"]


def test_a_file_of_an_odd_name_that_the_entry_asks_for_is_one_sentence(tmp_path, pins):
    """What cannot be a file of the store is refused with its name."""
    pins.write_text(PINS + 'hub_files = ["*.json"]\n')
    with hub(described([sibling("a b.json")])) as site:
        said = reelgraph(site, pins, tmp_path / "store", "lock", "net", code=2).stderr
    assert said.startswith("reelgraph: net: some/model has a file named 'a b.json', and file names here are")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("files", "revision", "named"),
    [
        ([sibling("model.safetensors", "no hash")], REVISION, "model.safetensors: sha256"),
        ([sibling("model.safetensors")], "main", "revision"),
    ],
)
def test_an_answer_that_cannot_be_locked_is_one_sentence(tmp_path, pins, files, revision, named):
    """A sha256 or a revision that is none ends in a sentence that names it; nothing is written down."""
    with hub(described(files, revision)) as site:
        said = reelgraph(site, pins, tmp_path / "store", "lock", "net", code=3).stderr
    assert said.startswith(f"reelgraph: the hub's answer about some/model cannot be locked: {named} is '")
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "store/hub.lock.json").exists()


def test_no_hub(tmp_path, pins):
    """Without a network locking says that the hub cannot be asked."""
    said = reelgraph(None, pins, tmp_path / "store", "lock", "net", code=3).stderr
    assert said.startswith("reelgraph: the hub cannot be asked for some/model: ")


def test_what_is_no_hub_entry_is_not_locked(tmp_path):
    """Entries that this version pins itself are refused."""
    with pytest.raises(BadInput, match="only hub entries are locked"):
        Weights(tmp_path).lock(["mediapipe-face"])


def test_a_lock_of_another_repository_is_refused(tmp_path, pins):
    """When an entry moves to another repository its old lock is no word on the new one; others go on, and the command
    that the refusal names replaces it.
    """
    entry = LockedEntry(
        repository="old/model",
        revision=REVISION,
        files=(LockedFile(name="config.json", sha256=sha256(CONFIG), size_bytes=len(CONFIG)),),
    )
    add_to_lock(tmp_path / "store/hub.lock.json", {"net": entry})
    weights = Weights(tmp_path / "store", pins)
    assert not weights.entries()["net"].locked
    for use in (weights.digest, lambda name: weights.verify([name]), lambda name: weights.pull([name])):
        with pytest.raises(WeightsMissing, match="net is locked to old/model and is now some/model: `reelgraph models"):
            use("net")
    with pytest.raises(WeightsMissing, match="is locked to old/model"):
        weights.lock(["net"], reviewed=False)
    with hub(repository(REVISION)) as site:
        reelgraph(site, pins, tmp_path / "store", "lock", "net")
    known = read_lock(tmp_path / "store/hub.lock.json").entries["net"]
    assert (known.repository, known.revision) == ("some/model", REVISION)
    assert Weights(tmp_path / "store", pins).entries()["net"].locked


def test_a_damaged_lock_is_one_sentence(tmp_path, pins):
    """A lock file that cannot be read is bad input that names the file, never an empty lock."""
    (tmp_path / "hub.lock.json").write_text('{"entries": {"net": {"repository": "a/b"}}}')
    with pytest.raises(BadInput, match=r"hub\.lock\.json: entries\.net\.revision"):
        Weights(tmp_path, pins).entries()


def test_a_lock_with_a_file_twice_is_one_sentence(tmp_path, pins):
    """Two files of one name in an edited lock are bad input that names entry and file, in whatever asks for it."""
    file = {"name": "config.json", "sha256": "0" * 64, "size_bytes": 1}
    entry = {"repository": "some/model", "revision": REVISION, "files": [file, file]}
    (tmp_path / "hub.lock.json").write_text(json.dumps({"entries": {"net": entry}}))
    with pytest.raises(BadInput, match=r"hub\.lock\.json: entries\.net\.files: config\.json is in it twice$"):
        Weights(tmp_path, pins).entries()


@pytest.mark.parametrize("name", ["../../etc", "http://x", "a/b/c", "", "a--b", "a/b.git", "/etc", "a/..", "a b"])
def test_what_is_no_repository_is_refused_with_the_pins(tmp_path, pins, name):
    """A path or an address as `hub` is bad input that names file, entry and key, before any hub is asked."""
    pins.write_text(PINS.replace("some/model", name))
    with pytest.raises(BadInput, match=r"^pins\.toml: entries\.net\.hub: '.*' is no repository of a hub") as caught:
        Weights(tmp_path, pins).lock(["net"])
    assert caught.value.code == "bad_pins"


def test_what_the_hub_s_client_refuses_is_one_sentence():
    """A name that passed ours and not the client's own check is bad input, too."""
    entry = Entry(summary="a", licence="b", hub="a" * 200)
    with pytest.raises(BadInput, match="is no repository of a hub"):
        ask(entry, Patience())


def test_a_lock_that_cannot_be_written(tmp_path):
    """A folder where a file is: the error names the lock file."""
    (tmp_path / "store").write_text("")
    weights = Weights(tmp_path / "store")
    with pytest.raises(Infrastructure, match="cannot write"):
        weights.lock([])


def test_an_entry_without_a_lock_says_what_to_do(tmp_path, pins):
    """The way out is in the message."""
    with pytest.raises(WeightsMissing, match="`reelgraph models lock net`"):
        Weights(tmp_path, pins).digest("net")
