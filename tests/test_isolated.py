"""Media read in a process that may die alone: what a crash, a hang and a swelling cost, and what is left of them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from shared import isolated, passes
from shared.errors import BadInput, Cancelled, Infrastructure
from shared.frames import PASSES, Frames, FrameStore
from shared.settings import settings, use
from tests.support.clips import make_clip
from tests.support.processes import alive, eventually
from tests.support.project import ROOT
from tests.support.reading import GIB


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """A media server of this test's own, whose FFmpeg crashes, hangs or swells on files that are named so."""
    paths = [str(ROOT / "tests" / "support" / "broken"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    own = isolated._Server()
    monkeypatch.setattr(isolated, "_server", own)
    before = settings()
    yield own
    use(before)
    own._control.close()
    assert own._process.wait(60) == 0


def refused(path: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        isolated.probe(path)
    return caught.value


def test_a_crash_costs_one_probe(server: isolated._Server, tmp_path: Path) -> None:
    """A segmentation fault in a probe is one sentence about that file; the same server reads the next file."""
    good = make_clip(tmp_path / "good.mp4")
    error = refused(make_clip(tmp_path / "segfault.mp4"))
    assert error.code == "decoder_crashed"
    assert error.message == f"{tmp_path / 'segfault.mp4'}: it cannot be read, its decoder crashed (SIGSEGV)."
    first = server._process.pid
    assert isolated.probe(good).duration_seconds == 2.0
    assert server._process.pid == first


def test_a_crash_costs_one_request(server: isolated._Server, tmp_path: Path) -> None:
    """A video on which FFmpeg crashes is refused by the API in one sentence that calls it by its sender's name."""
    from services.api import create_app

    handlers = logging.getLogger().handlers[:]
    use(settings().model_copy(update={"data_dir": tmp_path / "data", "require_keys": False}))
    client = create_app().test_client()
    video = BytesIO(make_clip(tmp_path / "clip.mp4").read_bytes() + bytes([0, 0, 0, 16]) + b"freesegfault")
    form = {"video": (video, "reel.mp4")}
    answer = client.post("/v1/jobs", data=form, content_type="multipart/form-data", headers={"Host": "localhost"})
    logging.getLogger().handlers[:] = handlers
    assert (answer.status_code, answer.json["code"]) == (422, "decoder_crashed")
    assert answer.json["detail"] == "reel.mp4: it cannot be read, its decoder crashed (SIGSEGV)."


def test_a_hang_is_ended(server: isolated._Server, tmp_path: Path) -> None:
    """A probe that does not end is refused when its time is over, and its process is gone."""
    use(settings().model_copy(update={"probe_seconds": 1.0}))
    path = make_clip(tmp_path / "hang.mp4")
    while not path.with_suffix(".pid").exists():  # on a busy machine it may not have come to hang within its time
        assert refused(path).code == "too_slow"
    pid = int(path.with_suffix(".pid").read_text())
    assert eventually(lambda: not alive(pid), 60)


def test_memory_is_bounded(server: isolated._Server, tmp_path: Path) -> None:
    """A file that would take 64 GiB is refused in one sentence that says how much it may take."""
    use(settings().model_copy(update={"media_memory_bytes": 1 << 30}))
    error = refused(make_clip(tmp_path / "swell.mp4"))
    assert (error.code, error.message) == (
        "too_much_memory",
        f"{tmp_path / 'swell.mp4'}: reading it takes more than 256 MiB of memory.",
    )


def test_so_many_are_read_at_once(server: isolated._Server, tmp_path: Path) -> None:
    """Where one probe at a time is allowed, a second one waits for the first, which hangs, to be ended."""
    use(settings().model_copy(update={"media_at_once": 1, "probe_seconds": 2.0}))
    hang, good = make_clip(tmp_path / "hang.mp4"), make_clip(tmp_path / "good.mp4")
    ended: list[str] = []
    first = threading.Thread(target=lambda: ended.append(refused(hang).code))
    first.start()
    assert eventually(lambda: isolated._slots._taken == 1, 60)
    assert isolated.probe(good).duration_seconds == 2.0
    first.join()
    assert ended == ["too_slow"]
    assert isolated._slots._taken == 0


def test_two_passes_run_at_once(server: isolated._Server, tmp_path: Path) -> None:
    """A third decode pass of a process begins when one has ended, and can be stopped while it waits."""
    path = make_clip(tmp_path / "good.mp4")
    info, store = isolated.probe(path), FrameStore(tmp_path / "store", budget_bytes=GIB)

    def late() -> None:
        raise Cancelled("late")

    for _ in range(passes.AT_ONCE):
        assert passes._slots.acquire(timeout=60)
    try:
        with store.open(path, info, (Frames(),), check=late) as reader, pytest.raises(Cancelled):
            list(reader.frames(Frames()))
        assert list(store.folder.rglob("*.npy")) == []
        threading.Timer(1, passes._slots.release).start()
        with store.open(path, info, (Frames(),)) as reader:
            assert sum(len(batch.times) for batch in reader.frames(Frames())) == 20
    finally:
        passes._slots.release()


def test_a_crash_in_a_pass_fails_it_once(server: isolated._Server, tmp_path: Path) -> None:
    """A decode pass that crashes ends in BadInput for its reader, and the next readers do not try it again."""
    path = make_clip(tmp_path / "clip.mp4")
    info, store = isolated.probe(path), FrameStore(tmp_path / "store", budget_bytes=GIB)
    path = path.rename(tmp_path / "segfault.mp4")
    begun = []
    for _ in range(2):
        with store.open(path, info, (Frames(),)) as reader:
            with pytest.raises(BadInput) as caught:
                list(reader.frames(Frames()))
            assert caught.value.code == "decoder_crashed"
            begun.append(reader.stats.decode_passes)
    assert begun == [1, 0]
    refusal = store.folder / info.sha256 / "refused.json"
    os.utime(refusal, (time.time() - 7200,) * 2)
    with store.open(path.rename(tmp_path / "whole.mp4"), info, (Frames(),)) as reader:
        assert sum(len(batch.times) for batch in reader.frames(Frames())) == 20


def test_a_decoder_that_is_killed_every_time_is_tried_no_more(server: isolated._Server, tmp_path: Path) -> None:
    """Killed as a system kills that has no memory: one reader tries three times, the next ones not; a probe says so."""
    path = make_clip(tmp_path / "clip.mp4")
    info, store = isolated.probe(path), FrameStore(tmp_path / "store", budget_bytes=GIB)
    path, tried = path.rename(tmp_path / "sigkill.mp4"), []
    for _ in range(2):
        with store.open(path, info, (Frames(),)) as reader:
            with pytest.raises(BadInput, match="out of memory") as caught:
                list(reader.frames(Frames()))
            tried.append((caught.value.code, caught.value.retryable, reader.stats.decode_passes))
    assert tried == [("decoder_killed", True, PASSES), ("decoder_killed", True, 0)]
    first = server._process.pid
    with pytest.raises(Infrastructure) as raised:
        isolated.probe(path)
    assert (raised.value.code, server._process.pid) == ("decoder_killed", first)


def test_a_killed_server_is_started_again(server: isolated._Server, tmp_path: Path) -> None:
    """Whoever kills the media server costs nobody a probe."""
    path = make_clip(tmp_path / "good.mp4")
    isolated.probe(path)
    server._process.kill()
    server._process.wait()
    assert isolated.probe(path).duration_seconds == 2.0


def test_nothing_outlives_a_killed_client(tmp_path: Path) -> None:
    """After SIGKILL of a process whose probe hangs, its media server and the probe are gone as well."""
    path = make_clip(tmp_path / "hang.mp4")
    program = f"from pathlib import Path; from shared.isolated import probe; probe(Path({str(path)!r}))"
    paths = os.pathsep.join([str(ROOT / "tests" / "support" / "broken"), str(ROOT)])
    client = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, cwd=ROOT)
    assert eventually(path.with_suffix(".pid").exists, 120)
    started = psutil.Process(client.pid).children(recursive=True)
    assert len(started) == 2
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert eventually(lambda: not any(alive(one.pid) for one in started), 60)
