"""Hostile input: whatever a file or a request holds ends in a result or in one clear error, and costs nobody else."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from io import BytesIO
from operator import getitem
from pathlib import Path

import psutil
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from services.commands.export import read
from shared.errors import BadInput
from shared.frames import Audio, Frames, FrameStore
from shared.isolated import probe
from shared.settings import settings, use
from shared.sound import OVERRUN_SECONDS
from tests.support.clips import make_clip
from tests.support.document import sample_document
from tests.support.hostile import DAMAGES, EVERYWHERE, clips, corpus
from tests.support.hostile_headers import bombs, references, undated_flac
from tests.support.hostile_process import STORE_BYTES
from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.support.reading import opened

EACH = int(os.environ.get("REELGRAPH_HOSTILE_EACH", "1"))
"""Files of every kind and damage: 1 makes 74 of them; `make hostile` asks for more."""

KINDS = sum(len(own) + len(EVERYWHERE) for own in DAMAGES.values())

MEMORY_BYTES = 1 << 30

CODES = {
    None,
    "not_a_video",
    "truncated",
    "no_streams",
    "no_duration",
    "undecodable",
    "empty_file",
    "still_picture",
} | {f"too_{word}" for word in ("large", "long", "many_frames", "sparse", "slow", "much_memory")}
"""How a file may end. `decoder_crashed` would be survived as well, and would be a find."""

ONLY = examples(
    max_examples=40 * EACH,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# --- files -----------------------------------------------------------------------------------------------------


def below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@dataclass(frozen=True, slots=True)
class Run:
    """How every file of the corpus ended, and the only folder that the process that read them was told of."""

    endings: list[dict]
    home: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The corpus, read in one process."""
    home = tmp_path_factory.mktemp("hostile")
    (home / "job").mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "REELGRAPH_MEDIA_MEMORY_BYTES": str(MEMORY_BYTES),
    }
    command = [sys.executable, "-B", "-m", "tests.support.hostile_process", str(home / "job"), str(EACH)]
    ended = subprocess.run(command, env=environment, cwd=home, stdout=subprocess.PIPE, text=True, check=True)
    return Run([json.loads(line) for line in ended.stdout.splitlines()], home)


def test_every_hostile_file_ends_in_a_result_or_one_sentence(run: Run) -> None:
    """Each of the mutated files is read to its end or refused with a code and one sentence that names it; nothing
    crashed, and the process that asked lives."""
    assert len(run.endings) == KINDS * EACH
    assert [one for one in run.endings if one["code"] not in CODES] == []
    for one in run.endings:
        if one["code"] is not None:
            sentence = one["message"].partition(one["name"])[2]
            assert sentence.endswith("."), one
            assert ". " not in sentence, one
    assert sum(one["code"] is None for one in run.endings) >= len(run.endings) / 4


def test_hostile_files_take_bounded_memory_and_space(run: Run) -> None:
    """No process that read one had more memory than its bound, and no frame store more bytes than its budget."""
    assert 0 < max(one["peak_mib"] for one in run.endings) < MEMORY_BYTES >> 20
    assert max(one["store_bytes"] for one in run.endings) < STORE_BYTES


def test_hostile_files_leave_nothing(run: Run) -> None:
    """Nothing was written into its home, temporary or working folder beside the job's, nothing is left in that, and no
    process is left running."""
    assert {path.relative_to(run.home) for path in run.home.rglob("*")} == {Path("job")}
    mark = f"TMPDIR={run.home}"
    assert eventually(lambda: not any(mark in environment(process) for process in psutil.process_iter()), 60)


def environment(process: psutil.Process) -> set[str]:
    try:
        return {f"{name}={value}" for name, value in process.environ().items()}
    except psutil.Error:
        return set()


def test_the_corpus_is_the_same_every_time(tmp_path: Path) -> None:
    """Made twice, its files are equal byte by byte; 5 of each kind and damage are more than 300."""
    (tmp_path / "again").mkdir()
    first, second = list(corpus(clips(tmp_path), 5)), list(corpus(clips(tmp_path / "again"), 5))
    assert first == second
    assert len({case.data for case in first}) > 300


def test_bombs_are_refused_at_probe(tmp_path: Path) -> None:
    """A tiny file that announces a billion pictures or a gigapixel, or holds an hour of silence, is refused by a limit,
    in one sentence that says by how much."""
    for case, code in bombs(tmp_path):
        path = tmp_path / f"{case.name}.{case.ending}"
        path.write_bytes(case.data)
        with pytest.raises(BadInput, match=r"too large|too few|more than|not a video") as caught:
            probe(path)
        assert caught.value.code == code, case.name
        assert len(case.data) < 1 << 20


def test_sound_that_the_probe_cannot_see_is_refused(tmp_path: Path) -> None:
    """Packets of many frames without times, 18 minutes of sound in 12 kB that the probe takes for 2 s: refused in one
    sentence, for the next reader without another pass, and no more is written than belongs to those 2 s."""
    path = undated_flac(tmp_path / "a.mkv", frames=100)
    store = FrameStore(tmp_path / "store", budget_bytes=STORE_BYTES)
    info = probe(path)
    assert info.duration_seconds < 3
    for passes in (1, 0):
        with store.open(path, info, (Audio(),)) as reader:
            with pytest.raises(BadInput, match=rf"its {info.size_bytes} bytes are too few to be 60\d s") as caught:
                reader.audio(Audio())
            assert caught.value.code == "too_sparse"
            assert reader.stats.decode_passes == passes
    assert sum(file.stat().st_size for file in store.folder.rglob("*") if file.is_file()) < 2 << 20


def test_sound_long_after_the_end_is_left_out(tmp_path: Path) -> None:
    """Three minutes of sound in a video of 2 s: what follows its end by more than 10 s is left out, and all of
    its pictures are read."""
    with opened(undated_flac(tmp_path / "a.mkv", frames=16), Frames(), Audio()) as reader:
        end = reader.info.duration_seconds + OVERRUN_SECONDS
        assert end - 1.4 <= len(reader.audio(Audio())) / Audio().sample_rate <= end
        assert sum(len(batch.times) for batch in reader.frames(Frames())) == 10


def test_no_file_leads_to_another(tmp_path: Path) -> None:
    """Playlists, scripts and movies that name another file, an address or another protocol are refused; nobody
    connects, and the file they name is not read in their place."""
    secret = make_clip(tmp_path / "secret.mp4", options={"movflags": "faststart"})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        for case in references(secret, listener.getsockname()[1]):
            path = tmp_path / f"{case.name}.{case.ending}"
            path.write_bytes(case.data)
            with pytest.raises(BadInput) as caught:
                probe(path)
            assert caught.value.code == "not_a_video", case.name
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return clips(tmp_path_factory.mktemp("originals"))


@ONLY
@given(
    ending=st.sampled_from(sorted(DAMAGES)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=16)), max_size=8),
    end=st.floats(0, 1),
)
def test_a_probe_raises_nothing_but_bad_input(
    originals: dict[str, bytes],
    tmp_path: Path,
    ending: str,
    edits: list[tuple[float, bytes]],
    end: float,
) -> None:
    """Bytes written anywhere into a clip, and its end cut off: facts, or BadInput with a known code."""
    data = bytearray(originals[ending])
    for place, written in edits:
        at = int(place * len(data))
        data[at : at + len(written)] = written
    path = tmp_path / f"a.{ending}"
    path.write_bytes(data[: max(1, int((1 - end) * len(data)))] if end > 0.5 else data)
    try:
        assert probe(path, sha256="0").duration_seconds > 0
    except BadInput as error:
        assert error.code in CODES  # noqa: PT017  (both ways are right)


# --- documents -------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value inside a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


SAMPLE = json.loads(sample_document().model_dump_json())
PLACES = tuple(places(SAMPLE))


@ONLY
@given(at=st.lists(st.sampled_from(PLACES), min_size=1, max_size=3), value=VALUES)
def test_a_changed_document_is_read_or_refused(tmp_path: Path, at: list[tuple[str | int, ...]], value: object) -> None:
    """A document with anything in the place of some of its values is a document, or BadInput."""
    changed = json.loads(json.dumps(SAMPLE))
    for way in at:
        # an earlier change may have taken the place away
        with suppress(KeyError, IndexError, TypeError):
            reduce(getitem, way[:-1], changed)[way[-1]] = deepcopy(value)  # else it may come to stand within itself
    assert_read_or_refused(tmp_path / "result.json", json.dumps(changed).encode())


@ONLY
@given(cut=st.integers(0, 4000), written=st.binary(max_size=8))
@example(cut=0, written=b"[" * 100_000)
@example(cut=0, written=b"null")
@example(cut=0, written=b'{"tracks": [1]}')
@example(cut=0, written=b"1" * 5000)
def test_a_broken_document_is_refused(tmp_path: Path, cut: int, written: bytes) -> None:
    """What is no JSON, or none that is a document, is BadInput."""
    assert_read_or_refused(tmp_path / "result.json", json.dumps(SAMPLE).encode()[:cut] + written)


def assert_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        assert read(path).schema_version
    except BadInput as error:
        assert error.code in ("bad_document", "unknown_track")  # noqa: PT017  (both ways are right)


# --- requests --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The API in this process, without a server: what is asked here is refused before any work is queued."""
    from services.api import create_app

    before, handlers = settings(), logging.getLogger().handlers[:]
    use(before.model_copy(update={"data_dir": tmp_path_factory.mktemp("api"), "require_keys": False}))
    yield create_app().test_client()
    use(before)
    logging.getLogger().handlers[:] = handlers


FIELDS = ("analyzers", "options", "priority", "deadline_seconds", "webhook_url", "upload", "anything")
UNKNOWN_UPLOAD = "0" * 32


@ONLY
@given(given_fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), is_whole=st.booleans())
@example(given_fields={"priority": int("1" * 4000)}, is_whole=True)
@example(given_fields={"webhook_url": "http://\ud800"}, is_whole=True)
def test_a_strange_request_is_refused(client: FlaskClient, given_fields: dict[str, object], is_whole: bool) -> None:
    """A job asked for with anything in its fields is refused by a problem document, never by an error of the server."""
    body = {**given_fields, **({"upload": UNKNOWN_UPLOAD} if is_whole else {})}
    assert_refused(client, json.dumps(body).encode())


@ONLY
@given(body=st.binary(max_size=50))
@example(body=b"[" * 100_000)
@example(body=b'{"upload": ' * 50_000)
@example(body=b'{"priority": ' + b"1" * 5000 + b"}")
def test_a_broken_request_is_refused(client: FlaskClient, body: bytes) -> None:
    """A body that is no JSON, or is nested a hundred thousand times, is refused by a problem document."""
    assert_refused(client, body)


@pytest.mark.parametrize("options", ["[" * 100_000, '{"a":' * 90_000, "1" * 5000, "null", "[]", '{"a": 1}', "\0"])
def test_strange_options_of_a_form_are_refused(client: FlaskClient, options: str) -> None:
    """The field `options` of a form is parsed apart from the form, and refused like the rest."""
    form = {"options": options, "video": (BytesIO(b"no video"), "a.mp4")}
    answer = client.post("/v1/jobs", data=form, content_type="multipart/form-data", headers=HOST)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")


HOST = {"Host": "localhost"}


def assert_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/jobs", data=body, content_type="application/json", headers=HOST)
    assert 400 <= answer.status_code < 500, (body[:200], answer.data)
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"]
