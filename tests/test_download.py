"""Tests of resumable downloads, against a real server that misbehaves."""

import random
import socket

import pytest

from shared.download import Patience, Refused, download
from shared.errors import DeadlineExceeded, Infrastructure
from tests.support.web import Site, served

CONTENT = random.Random(1).randbytes(700_000)
QUICK = Patience(deadline_seconds=20, stall_seconds=2, attempts=3, first_pause_seconds=0.01)


def fetch(site, part, patience=QUICK):
    """Download the site's file; returns what was reported."""
    reported = []
    download(f"{site.url}/file", part, len(CONTENT), patience=patience, report=reported.append)
    return reported


def test_broken_download_goes_on_where_it_broke_off(tmp_path):
    """After two broken connections the file is whole, and only the missing bytes were asked for again."""
    with served(Site({"/file": CONTENT}, cuts=[300_000, 100_000])) as site:
        reported = fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert site.asked == [("/file", None), ("/file", "bytes=300000-"), ("/file", "bytes=400000-")]
    assert reported == sorted(reported)
    assert reported[-1] == len(CONTENT)


def test_next_process_goes_on_from_the_part(tmp_path):
    """A part that an earlier process left is continued, not fetched again."""
    (tmp_path / "part").write_bytes(CONTENT[:500_000])
    with served(Site({"/file": CONTENT})) as site:
        fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert site.asked == [("/file", "bytes=500000-")]


def test_server_without_ranges_starts_over(tmp_path):
    """A server that ignores Range sends everything, and the part is not appended to but replaced."""
    (tmp_path / "part").write_bytes(CONTENT[:500_000])
    with served(Site({"/file": CONTENT}, ranges=False)) as site:
        fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_overloaded_server_is_asked_again(tmp_path):
    """HTTP 503 and 429 pass: the download waits and succeeds."""
    with served(Site({"/file": CONTENT}, statuses=[503, 429])) as site:
        fetch(site, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_missing_file_is_refused_at_once(tmp_path):
    """HTTP 404 does not pass: it is asked for once, and the error says 404."""
    with served(Site({})) as site, pytest.raises(Refused, match="404"):
        fetch(site, tmp_path / "part")
    assert len(site.asked) == 1


def test_server_that_brings_nothing_is_given_up(tmp_path):
    """A server that always breaks off without a byte ends in one sentence after the allowed attempts."""
    with served(Site({"/file": CONTENT}, cuts=[0] * 9)) as site, pytest.raises(Infrastructure, match="3 times"):
        fetch(site, tmp_path / "part")
    assert len(site.asked) == QUICK.attempts


def test_silent_server_ends_by_the_deadline(tmp_path):
    """A server that accepts and says nothing is left when the time is over."""
    patience = Patience(deadline_seconds=0.5, stall_seconds=0.2, attempts=99, first_pause_seconds=0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(DeadlineExceeded, match=r"0\.5 s"):
            download(url, tmp_path / "part", 10, patience=patience, report=lambda _: None)


def test_no_network_is_one_sentence(tmp_path):
    """Where nothing listens, the error says so and no part is left."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Infrastructure, match="no connection"):
        download(f"http://127.0.0.1:{port}/file", tmp_path / "part", 10, patience=QUICK, report=lambda _: None)
    assert not (tmp_path / "part").exists()


def test_longer_file_is_not_swallowed(tmp_path):
    """Of a file longer than pinned, no more than one chunk beyond the pinned size is written."""
    with served(Site({"/file": CONTENT})) as site:
        download(f"{site.url}/file", tmp_path / "part", 1000, patience=QUICK, report=lambda _: None)
    assert 1000 < (tmp_path / "part").stat().st_size <= 1000 + (1 << 18)
