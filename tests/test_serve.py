"""`reelgraph serve`: one command brings everything up, and everything ends with it."""

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from services.cli import BAD_INPUT, INFRASTRUCTURE
from services.commands.serve import readiness
from services.restarts import RESTARTS
from services.server import SOCKETS_LOCK, _socket_folder
from shared.keys import Keys
from shared.ledger import Ledger
from shared.locks import FileLock
from tasks.loading import NotLoaded
from tests.support.api import Client, free_port
from tests.support.moving import texture, write_video
from tests.support.processes import alive, eventually
from tests.support.project import ROOT

MAIN = "from services.cli import main; main()"
UP_SECONDS = 120
BROKERS = ("valkey-server", "redis-server")


def command(data, *options):
    """`reelgraph serve` over a data folder without models."""
    environment = {**os.environ, "REELGRAPH_WEIGHTS_DIR": str(data.parent / "no-weights")}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "serve", "--data", str(data), *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def unload(data):
    """`reelgraph unload detect` beside the service over a data folder."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "unload", "detect", "--data", str(data)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "REELGRAPH_BROKER_URL"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )


def family(process):
    """Everything that a command has started: process ids."""
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


PRIORITIES = {"control@": (0, 0), "vision=detect+": (10, 10), "sound=detect+": (10, 10), "gunicorn": (0, 0)}
"""By a word of the command line. Workers are named by themselves and by the groups that they serve."""


def leaders(process):
    """Workers and the server, each first in its session: a word of its command line, and its process id."""
    for pid in family(process):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            line = " ".join(psutil.Process(pid).cmdline())
            found = [name for name in PRIORITIES if name in line]
            if found and os.getsid(pid) == pid:
                yield found[0], pid


def priority(pid):
    """By how much a process goes behind this one and, where Linux shares the cores out by session, its session."""
    own, group = psutil.Process(pid).nice() - psutil.Process().nice(), Path(f"/proc/{pid}/autogroup")
    return own, int(group.read_text().split()[-1]) if group.exists() else own


def answers(client):
    try:
        return client.get("/readyz").status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture
def served(tmp_path):
    """A running service: process, client, data folder."""
    port = free_port()
    process = command(tmp_path / "data", "--port", str(port))
    client = Client(port)
    try:
        assert eventually(lambda: answers(client) or process.poll() is not None, UP_SECONDS)
        assert process.poll() is None, process.stdout.read()
        yield process, client, tmp_path / "data"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_one_command_serves_and_takes_everything_along(served, tmp_path):
    """A service takes a video, lets its server go before its analysis, shows Flower under the API's own address, and
    lets no second one start over its data. When it is killed with SIGKILL every process of it goes; at the next start
    the open job goes on to its end. Another command finds the service's broker while it runs.
    """
    process, client, data = served
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {name: priority(pid) for name, pid in leaders(process)} == PRIORITIES
    video = write_video(tmp_path / "clip.mp4", [texture(5, 120, 160)] * 60)
    job = client.hand_in(video, analyzers="color_analysis").json["id"]
    assert eventually(lambda: client.get("/flower/").status == 200, 60)
    assert b"Flower" in client.get("/flower/").body
    assert client.get("/flower/api/task/types").status == 200
    assert client.get("/flower/", Host="evil.example").refusal == (421, "foreign_host")
    second = command(data, "--port", str(free_port()))
    assert "another `reelgraph serve` runs" in second.communicate(timeout=60)[0]
    assert second.returncode == BAD_INPUT
    started = family(process)
    assert len(started) > 5
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert eventually(lambda: not any(map(alive, started)), 60)
    again = command(data, "--port", str(client.port))
    try:
        assert eventually(lambda: answers(client), UP_SECONDS)
        assert client.wait(job, UP_SECONDS)["state"] == "completed"
        told = unload(data)
        assert (told.returncode, told.stdout.count("lets go of its models")) == (0, 2), told.stdout
        assert stat.S_IMODE((data / "run" / "broker").stat().st_mode) == 0o600
        started = family(again)
        again.send_signal(signal.SIGINT)
        assert again.wait(30) == 0
        assert eventually(lambda: not any(map(alive, started)), 60)
        told = unload(data)
        assert (told.returncode, f"no `reelgraph serve` runs over {data}" in told.stdout) == (BAD_INPUT, True)
    finally:
        again.kill()


def test_a_ledger_of_a_newer_version_is_told_of_at_the_start(tmp_path):
    """`serve` and `keys list` over a ledger that a newer version has migrated end with one sentence and 3."""
    data = tmp_path / "data"
    ledger = Ledger(f"sqlite:///{data / 'ledger.sqlite3'}")
    ledger.migrate()
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
    for arguments in (["serve", "--port", str(free_port())], ["keys", "list"]):
        ended = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=ROOT,
            env={**os.environ, "REELGRAPH_DATA_DIR": str(data)},
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        assert ended.returncode == INFRASTRUCTURE
        assert ended.stderr.startswith("reelgraph: the ledger is at version '0099', and this Reelgraph knows 0001 to ")
        assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_what_dies_is_started_again(served, tmp_path):
    """A killed broker, Flower and server, and a worker killed four times, are back; it is logged, and a job goes on."""
    process, client, data = served
    assert eventually(lambda: len(list((data / "run").glob("ready.*"))) == len(PRIORITIES) - 1, UP_SECONDS)
    assert eventually(lambda: client.get("/flower/").status == 200, 60)
    (pid,) = flowers(process)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: flowers(process) not in ([], [pid]) and client.get("/flower/").status == 200, 60)
    (pid,) = brokers(process)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: brokers(process) not in ([], [pid]) and answers(client), 60)
    for name in ("gunicorn", *["vision=detect+"] * (RESTARTS + 1)):
        assert eventually(lambda name=name: name in dict(leaders(process)), 60)
        pid = dict(leaders(process))[name]
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda name=name, pid=pid: dict(leaders(process)).get(name) != pid, 60)
    assert eventually(lambda: answers(client), 60)
    job = client.hand_in(write_video(tmp_path / "clip.mp4", [texture(6, 120, 160)] * 60), analyzers="color_analysis")
    assert client.wait(job.json["id"], UP_SECONDS)["state"] == "completed"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert re.search(
        r"^Ready, but \d+ analyzers are not: .*\(weights missing: `reelgraph models pull \w", said, re.MULTILINE
    )
    assert "broker_restarted" in said
    assert "flower_restarted" in said
    assert "server_restarted" in said
    assert said.count("worker_restarted") >= RESTARTS


def test_what_could_not_be_loaded_is_said_at_the_start():
    """By reason, with the command that helps; what the profile lacks, or a setting has switched off, is no trouble."""
    gone = NotLoaded("weights_missing", "a file is not on this machine")
    chosen = {
        "blip2_caption": NotLoaded("not_in_profile", "no weights for the local profile"),
        "age_estimation": NotLoaded("switched_off", "switched off"),
    }
    assert readiness(chosen, "gpu") == readiness({}, "gpu") == "The workers have loaded their models."
    one = {"body_pose": gone} | chosen
    assert readiness(one, "gpu") == (
        "Ready, but 1 analyzer is not: body_pose (weights missing: `reelgraph models pull vitpose-base-simple`); "
        "the logs say more."
    )
    many = one | {
        "qwen2_vl_temporal": NotLoaded("weights_unlocked", "qwen2-vl-7b is not locked"),
        "speech_emotion": gone,
        "cut_analysis": NotLoaded("load_failed", "its model cannot be loaded"),
        "sound_effects": NotLoaded("weights_tampered", "not the pinned file"),
    }
    assert readiness(many, "gpu") == (
        "Ready, but 5 analyzers are not: cut_analysis (load failed); "
        "body_pose, speech_emotion (weights missing: `reelgraph models pull vitpose-base-simple wav2vec2-emotion`); "
        "sound_effects (weights tampered); qwen2_vl_temporal (weights unlocked: `reelgraph models lock qwen2-vl-7b`); "
        "the logs say more."
    )


def flowers(process):
    """The Flowers of a command, each first in its session: process ids."""
    found = []
    for pid in family(process):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if "flower" in psutil.Process(pid).cmdline() and os.getsid(pid) == pid:
                found.append(pid)
    return found


def brokers(process):
    """The brokers of a command that run: process ids."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        return [one.pid for one in children if one.name() in BROKERS and one.status() != psutil.STATUS_ZOMBIE]
    return []


def test_a_killed_services_sockets_go_at_the_next_start(tmp_path, monkeypatch):
    """The folder of a service that was killed is removed; one that is held, is new or is something else stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, held, new, other = folders = [tmp_path / f"reelgraph-{name}" for name in ("left", "held", "new", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / ("video.mp4" if folder == other else SOCKETS_LOCK)).touch()
        long_ago = time.time() - (0 if folder == new else 9000)
        os.utime(folder, (long_ago, long_ago))
    with FileLock(held / SOCKETS_LOCK) as lock:
        assert lock.take()
        with _socket_folder() as own:
            assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == sorted([held, new, other, own])
    assert not own.exists()
    assert not left.exists()


def test_other_addresses_need_a_key(tmp_path):
    """An address that others reach is refused while no key exists, before anything is started."""
    process = command(tmp_path / "data", "--host", "0.0.0.0", "--port", str(free_port()))
    said = process.communicate(timeout=60)[0]
    assert process.returncode == BAD_INPUT
    advice = f"reelgraph keys create NAME --data {tmp_path / 'data'}"
    assert said.strip().endswith(f"there is no API key; make one: {advice}")
    made = subprocess.run([sys.executable, "-c", MAIN, *advice.split()[1:]], cwd=ROOT, capture_output=True, check=True)
    assert made.stdout.startswith(b"rg_")
    ledger = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite3'}")
    (key,) = Keys(ledger).list()
    Keys(ledger).revoke(key.prefix)
    process = command(tmp_path / "data", "--host", "0.0.0.0", "--port", str(free_port()))
    assert "there is no API key" in process.communicate(timeout=60)[0]


def test_a_port_that_is_taken_is_told(tmp_path):
    """When another program has the port, the command ends with one sentence, and calls no address its own."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = command(tmp_path / "data", "--port", str(port), "--no-flower")
        said = process.communicate(timeout=90)[0]
    assert process.returncode == INFRASTRUCTURE
    assert said.startswith(f"reelgraph: 127.0.0.1, port {port}, cannot be listened on: Address already in use")
    assert len(said.splitlines()) == 1
