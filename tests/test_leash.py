"""The leash: children end with the command that started them, in every way it can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.leash import start, stop_all
from shared.errors import Infrastructure
from tests.support.processes import alive, eventually

ROOT = Path(__file__).parents[1]

# Notes its pid and that of its own child in a file, then sleeps; `deaf` ignores SIGTERM like a worker in a long task.
FAMILY = """
import os, pathlib, signal, subprocess, sys, time
folder, deaf = pathlib.Path(sys.argv[1]), sys.argv[2] == "deaf"
def leave(number, frame):
    (folder / "signal").write_text(signal.Signals(number).name)
    sys.exit(7)
for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN if deaf else leave)
grandchild = subprocess.Popen(["sleep", "60"])
note = folder / "pids.new"
note.write_text(f"{os.getpid()} {grandchild.pid}")
note.rename(folder / "pids")
time.sleep(60)
"""

# A command that starts the family on a leash and then waits to be killed.
COMMAND = """
import sys, time
from services.leash import start
family = start([sys.executable, "-c", sys.argv[1], sys.argv[2], sys.argv[3]], grace_seconds=1.0)
time.sleep(60)
"""


def family_of(folder: Path) -> tuple[int, int]:
    assert eventually((folder / "pids").exists, 60)
    child, grandchild = (folder / "pids").read_text().split()
    return int(child), int(grandchild)


@pytest.mark.parametrize("mood", ["polite", "deaf"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_command_takes_all_descendants_along(tmp_path: Path, mood: str, blow: signal.Signals) -> None:
    """However the command is killed, its child and grandchild are gone within 3 s, also when they ignore SIGTERM."""
    command = subprocess.Popen([sys.executable, "-c", COMMAND, FAMILY, str(tmp_path), mood], cwd=ROOT)
    pids = family_of(tmp_path)
    assert all(alive(pid) for pid in pids)
    command.send_signal(blow)
    command.wait(3)
    assert eventually(lambda: not any(alive(pid) for pid in pids), 60)


def test_child_is_asked_with_the_chosen_signal(tmp_path: Path) -> None:
    """The stop signal reaches the child itself, whose exit code comes back, and the grandchild goes with it."""
    family = start([sys.executable, "-c", FAMILY, tmp_path, "polite"], stop_signal=signal.SIGQUIT)
    pids = family_of(tmp_path)
    assert pids[0] == family.pid
    assert family.poll() is None
    assert family.stop() == 7
    assert (tmp_path / "signal").read_text() == "SIGQUIT"
    assert not any(alive(pid) for pid in pids)


def test_deaf_children_are_killed_together_after_the_grace_time(tmp_path: Path) -> None:
    """Three children that ignore the stop signal are gone after one grace time, not three."""
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    families = [start([sys.executable, "-c", FAMILY, folder, "deaf"], grace_seconds=3.0) for folder in folders]
    pids = [pid for folder in folders for pid in family_of(folder)]
    began = time.monotonic()
    stop_all(families)
    assert 2.9 < time.monotonic() - began < 8
    assert not any(alive(pid) for pid in pids)
    assert [family.poll() for family in families] == [-signal.SIGKILL] * 3


def test_kill_does_not_wait(tmp_path: Path) -> None:
    """`kill` ends a deaf child and its grandchild at once, also after `terminate` began to wait for it."""
    family = start([sys.executable, "-c", FAMILY, tmp_path, "deaf"], grace_seconds=30)
    pids = family_of(tmp_path)
    family.terminate()
    family.kill()
    assert family.wait(1) == -signal.SIGKILL
    assert eventually(lambda: not any(alive(pid) for pid in pids), 60)


def test_child_that_ends_by_itself_leaves_nothing(tmp_path: Path) -> None:
    """A child's own exit code comes back, its output is kept, and what it left running is swept away."""
    with (tmp_path / "out").open("wb") as out:
        child = start(["sh", "-c", "sleep 60 & echo $!; echo $DIALECT >&2; exit 3"], stdout=out, env={"DIALECT": "lua"})
        assert child.wait(5) == 3
    orphan, said = (tmp_path / "out").read_text().split()
    assert said == "lua"
    assert eventually(lambda: not alive(int(orphan)), 60)
    assert eventually(child.gone, 60)


def test_child_is_out_of_reach_of_the_terminal() -> None:
    """The child leads a session of its own, so the terminal's Ctrl-C is for the command alone."""
    child = start(["sleep", "60"])
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.stop()


def test_unknown_program_is_one_sentence() -> None:
    """A program that does not exist is named at once instead of ending as exit code 127 later."""
    with pytest.raises(Infrastructure, match="no-such-program: no such program"):
        start(["no-such-program"])
