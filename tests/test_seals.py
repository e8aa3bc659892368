"""Seals of large files: hashed once, and again as soon as anything touched them."""

import os

import pytest

from shared import seals
from shared.seals import Seals
from shared.weights import Weights
from tests.support.web import pinned, write_pins

CONTENT = b"weights " * 100


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(seals, "LEAST_BYTES", 100)
    path = tmp_path / "net" / "model.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def test_a_sealed_file_is_known(tmp_path, file):
    """What was hashed is known to the next process; another hash is not."""
    Seals(tmp_path).put(file, file.stat(), "a")
    assert Seals(tmp_path).holds(file, "a")
    assert not Seals(tmp_path).holds(file, "b")


def test_a_touched_file_is_not(tmp_path, file):
    """Rewriting with the same size, or setting the old times back, breaks the seal."""
    Seals(tmp_path).put(file, file.stat(), "a")
    times = file.stat()
    file.write_bytes(CONTENT[::-1])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert not Seals(tmp_path).holds(file, "a")


def test_a_file_that_changed_while_it_was_hashed_gets_none(tmp_path, file):
    """The hash belongs to what was there when hashing began."""
    before = file.stat()
    file.write_bytes(CONTENT + b"more")
    Seals(tmp_path).put(file, before, "a")
    assert not Seals(tmp_path).holds(file, "a")


def test_small_files_have_no_seals(tmp_path, file, monkeypatch):
    """They are hashed each time."""
    monkeypatch.setattr(seals, "LEAST_BYTES", 10_000)
    Seals(tmp_path).put(file, file.stat(), "a")
    assert not Seals(tmp_path).holds(file, "a")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"net/model.bin": 3}'])
def test_damaged_seals_are_none(tmp_path, file, content):
    """What cannot be read proves nothing, and the next seal mends it."""
    (tmp_path / seals.SEALS).write_text(content)
    assert not Seals(tmp_path).holds(file, "a")
    Seals(tmp_path).put(file, file.stat(), "a")
    assert Seals(tmp_path).holds(file, "a")


def test_verify_trusts_no_seal(tmp_path, monkeypatch):
    """A start believes the seal; `models verify` hashes, whatever the seal says."""
    monkeypatch.setattr(seals, "LEAST_BYTES", 100)
    (tmp_path / "a").write_bytes(CONTENT)
    artifacts = {"a": pinned(CONTENT, source="file", path=str(tmp_path / "a"))}
    pins = write_pins(tmp_path / "pins.toml", artifacts, {"net": [pinned(CONTENT, name="model.bin", artifact="a")]})
    store = tmp_path / "store"
    Weights(store, pins).pull(["net"])
    Weights(store, pins).path("net", "model.bin")
    hashed = []
    monkeypatch.setattr("shared.weights.sha256_of", lambda path: hashed.append(path) or "0" * 64)
    Weights(store, pins).path("net", "model.bin")
    assert hashed == []
    assert [problem.kind for problem in Weights(store, pins).verify(["net"])] == ["tampered"]
