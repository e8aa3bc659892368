"""The Python client and `reelgraph analyze --server`, against a real service."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from services.cli import BAD_INPUT, COMPLETED, INFRASTRUCTURE
from services.client import Client, Wishes
from shared.errors import BadInput, DeadlineExceeded, Infrastructure, Unauthenticated
from shared.events import Event
from tasks.node import events
from tests.support.api import free_port, serving
from tests.support.cutting import cutting
from tests.support.project import ROOT

SLOW = {"misbehaving": {"sleep": 2}}
MAIN = "from services.cli import main; main()"


@pytest.fixture
def client(api):
    with Client(f"http://127.0.0.1:{api.port}") as client:
        yield client


def command(*arguments, **environment):
    """`reelgraph analyze` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "analyze", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_from_a_file_to_everything_that_was_found(client, video):
    """Hand in, wait, read document, outcome, export and picture, delete: each is what the service has."""
    job = client.submit(video, Wishes(analyzers=["color_analysis"], priority=2), idempotency_key="a-file")
    assert client.submit(video, Wishes(analyzers=["color_analysis"], priority=2), idempotency_key="a-file").id == job.id
    assert (job.source_name, job.priority) == (video.name, 2)
    ended = client.wait(job.id, seconds=60)
    assert ended.state == "completed"
    document = client.result(job.id)
    assert document.job.id == job.id
    outcome = client.outcome(job.id, "color_analysis")
    assert outcome.tracks == tuple(track for track in document.tracks if track.analyzer == "color_analysis")
    assert client.export(job.id, "csv").startswith(b"track")
    assert client.frame(job.id, 1.0, width=64).startswith(b"\xff\xd8")
    client.delete(job.id)
    with pytest.raises(BadInput, match="there is no job") as refused:
        client.job(job.id)
    assert refused.value.code == "unknown_job"


def test_cut_off_five_times_it_tells_every_event_once(api, video):
    """Five connections break in the middle of an event; the client goes on by itself, and what it tells is the job's
    stream, each event once.
    """
    with cutting(api.port, 5) as relay, Client(f"http://127.0.0.1:{relay.port}") as client:
        wishes = Wishes(analyzers=["dependent", "color_analysis", "audio_analysis", "content_quality"], options=SLOW)
        job = client.submit(video, wishes)
        told = list(client.events(job.id, seconds=60))
    assert relay.done == 5
    assert len(relay.followed) == 6
    assert all(isinstance(one.what, Event) for one in told)
    assert [(one.id, one.what) for one in told] == list(events().read(job.id))
    assert told[-1].is_last
    with Client(f"http://127.0.0.1:{api.port}") as again:
        assert list(again.events(job.id, seconds=10, after=told[-1].id)) == []


def test_a_job_is_cancelled(client, video):
    """A cancelled job ends, and following it ends with it."""
    job = client.submit(video, Wishes(analyzers=["misbehaving"], options={"misbehaving": {"sleep": 60}}))
    client.cancel(job.id)
    assert client.wait(job.id, seconds=30).state == "cancelled"


def test_refusals_are_the_services_own_errors(client, api, stack, video, tmp_path):
    """Each refusal is raised as the class that its status means, with the service's code and sentence."""
    with pytest.raises(BadInput) as refused:
        client.submit(video, Wishes(analyzers=["nothing"]))
    assert refused.value.code == "unknown_analyzer"
    with pytest.raises(BadInput) as refused:
        client.submit("http://127.0.0.1:9/clip.mp4")
    assert refused.value.code == "address_refused"
    with pytest.raises(BadInput) as refused:
        client.job("../../healthz")
    assert refused.value.code == "no_such_route"
    with pytest.raises(BadInput) as refused:
        client.submit(tmp_path / "none.mp4")
    assert refused.value.code == "unreadable"
    with serving(stack, require_keys=True) as keyed:
        with Client(f"http://127.0.0.1:{keyed.port}") as stranger, pytest.raises(Unauthenticated) as refused:
            stranger.check()
        assert refused.value.code == "no_key"
        with Client(f"http://127.0.0.1:{keyed.port}", key="x") as liar, pytest.raises(Unauthenticated) as refused:
            liar.submit(video)
        assert refused.value.code == "bad_key"
        said = command(video, "--server", f"http://127.0.0.1:{keyed.port}", REELGRAPH_API_KEY="").stderr
        assert said.strip().endswith("needs an API key: set REELGRAPH_API_KEY to a key of it")


def test_a_service_that_is_not_there_is_said_to_be_so():
    """Nobody at the address: an error of the infrastructure that names it."""
    port = free_port()
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(Infrastructure, match=f"127.0.0.1:{port}") as gone:
        client.check()
    assert gone.value.code == "server_unreachable"
    with pytest.raises(BadInput):
        Client("ftp://somewhere")


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
def test_every_call_ends_by_its_deadline(drips):
    """A server that takes a request and never ends its answer, silent or with a byte now and then, costs the caller no
    more than it allowed.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:

            def drip():
                taken, _ = listener.accept()
                with taken:
                    taken.recv(65536)
                    taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" if drips else b"")
                    while not over.wait(0.1):
                        with suppress(OSError):
                            taken.sendall(b"x" if drips else b"")

            thread = threading.Thread(target=drip)
            thread.start()
            began = time.monotonic()
            try:
                with pytest.raises(DeadlineExceeded):
                    client.job("x", seconds=1)
            finally:
                over.set()
            assert time.monotonic() - began < 15
        thread.join()


def test_the_command_writes_what_the_service_found(api, video, tmp_path):
    """`reelgraph analyze --server` shows how each analyzer ended, and writes the service's document and the report."""
    done = command(
        video, "--server", f"http://127.0.0.1:{api.port}", "--analyzers", "color_analysis", "--out", tmp_path / "out"
    )
    assert done.returncode == COMPLETED, done.stderr
    assert re.search(r"^color_analysis: ok, \d+ items", done.stderr, re.MULTILINE)
    written = json.loads((tmp_path / "out" / "clip" / "result.json").read_text())
    assert written == api.get(f"/v1/jobs/{written['job']['id']}/result").json
    assert "color_analysis" in (tmp_path / "out" / "clip" / "report.html").read_text()


def test_the_command_tells_refusals_in_a_sentence(api, stack, video, tmp_path):
    """No service, a missing key, an unknown analyzer, an address without a service: one line and the exit code."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with serving(stack, require_keys=True) as keyed:
        for arguments, code, words in (
            ((video, "--server", nobody), INFRASTRUCTURE, "cannot be reached"),
            ((video, "--server", f"http://127.0.0.1:{keyed.port}"), BAD_INPUT, "API key"),
            ((video, "--server", f"http://127.0.0.1:{api.port}", "--analyzers", "x"), BAD_INPUT, "unknown analyzer"),
            (("https://example.org/a.mp4",), BAD_INPUT, "--server"),
            ((video, "--server", nobody, "--profile", "gpu"), BAD_INPUT, "--profile"),
        ):
            done = command(*arguments, "--out", tmp_path / "out")
            assert done.returncode == code, done.stderr
            (line,) = [line for line in done.stderr.splitlines() if line.startswith("reelgraph: ")]
            assert words in line
            assert "Traceback" not in done.stderr
