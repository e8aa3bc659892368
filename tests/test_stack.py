"""What a command gives the workers that it starts."""

import os
import subprocess
import sys
import threading

import pytest

from services.broker import Broker
from services.leash import start
from services.stack import KEPT_LOGS, THREADS, LocalWorker, Stack, local_stack, remove_old_logs
from shared.groups import node_name
from shared.locks import FileLock
from shared.settings import settings, use
from tasks.child import run_folder
from tasks.node import run_lock
from tests.support.node import NOBODY
from tests.support.node import node as local_node


@pytest.mark.parametrize(
    ("asked", "stays", "given"),
    [("auto", False, False), ("auto", True, "auto"), (True, False, True), (False, True, False)],
)
def test_workers_that_stay_record_their_loops(tmp_path, monkeypatch, asked, stays, given):
    """auto becomes false for workers that are gone with one command; what somebody has set counts for all."""
    monkeypatch.setattr(Stack, "start_worker", lambda *_: None)
    before = settings()
    use(before.model_copy(update={"data_dir": tmp_path, "compile": asked}))
    try:
        with local_stack({"light"}, stays=stays) as stack:
            assert stack.settings.compile == settings().compile == given
    finally:
        use(before)


def test_opencv_takes_the_threads_of_a_worker():
    """OpenCV, which has threads of its own, heeds what workers are started with."""
    argv = [sys.executable, "-c", "import cv2; print(cv2.getNumThreads())"]
    environment = {**os.environ, **dict.fromkeys(THREADS, "3")}
    said = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert said.stdout.strip() == "3"


def test_logs_in_use_stay(tmp_path):
    """Of many runs' folders the newest stay, and those that a running command holds, whatever came after it."""
    folders = [tmp_path / f"{number:02}" for number in range(KEPT_LOGS + 3)]
    for folder in folders:
        (folder / "tmp").mkdir(parents=True)
    with FileLock(folders[1] / run_lock("any").name) as lock:
        assert lock.take()
        remove_old_logs(tmp_path)
        assert sorted(tmp_path.iterdir()) == [folders[1], *folders[3:]]
        assert (folders[1] / "tmp").is_dir()


def test_marks_go_with_a_child_that_takes_its_time_to_die(tmp_path):
    """A killed worker's child holds the lock of its mark until the kernel has taken it down: `stop` waits for that."""
    with local_node(tmp_path) as chosen:
        run_folder().mkdir()
        stack = Stack("run", chosen, tmp_path / "logs", Broker(NOBODY, "configured"))
        stack.workers = [LocalWorker("light", ("light",), tmp_path / "log", start(["sleep", "60"]))]
        marks = [run_folder() / name for name in ("alive.ours", "loaded.ours.7", "alive.theirs", "loaded.theirs.7")]
        for mark in marks:
            mark.write_text(f"{node_name('light', ('light',))}@{'run' if 'ours' in mark.name else 'other'}")
        with FileLock(marks[0]) as dying, FileLock(marks[2]) as living:
            assert dying.take()
            assert living.take()
            threading.Timer(0.5, dying.release).start()
            stack.stop()
            assert sorted(run_folder().iterdir()) == marks[2:]
