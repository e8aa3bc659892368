"""Tests of pages: real yt-dlp in its confined process, over the guarded proxy, against sites on loopback."""

import base64
import json
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

import services.fetch
import services.fetch.pages
from services.fetch import Limits
from services.fetch.child import Confinement
from services.fetch.pages import fetch_page, is_page
from services.fetch.proxy import guarded_proxy
from shared.errors import DeadlineExceeded, Unreachable, UrlRefused
from shared.guard import Guard, networks
from shared.outgoing import web_url
from tests.support.hosts import host, loopback_guard, ok, redirect
from tests.support.moving import texture, write_video
from tests.support.project import ROOT
from tests.support.system import missing


@pytest.fixture
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", [texture(1, 120, 160)] * 30).read_bytes()


@pytest.fixture
def brought(tmp_path):
    """Brings a page with yt-dlp's generic extractors, which take any site."""
    if find_spec("yt_dlp") is None:
        missing("yt-dlp is not installed; get it with: pip install 'reelgraph[pages]'")

    def bring(url, *, guard, limits=None, **more):
        limits = limits or Limits(total_seconds=60)
        return fetch_page(url, tmp_path, guard=guard, limits=limits, extractors=["generic", "html5"], **more)

    return bring


def page(video_url):
    body = f'<html><head><title>A Reel</title></head><body><video src="{video_url}"></video></body></html>'
    return ok(body.encode(), "Content-Type: text/html")


def test_a_page_gives_its_video(brought, video, tmp_path):
    """yt-dlp finds the video of a page and brings it through the proxy, byte for byte, under the page's title."""
    told = []
    with host({"/p": page("/v/clip.mp4"), "/v/clip.mp4": ok(video, "Content-Type: video/mp4")}) as site:
        guard = loopback_guard(site_test="127.0.0.1")
        got = brought(site.url("/p", host="site.test"), guard=guard, report=told.append)
    assert got.path.read_bytes() == video
    assert got.name.startswith("A Reel")
    assert list(tmp_path.iterdir()) == [got.path]
    assert max(told) >= 0


@pytest.mark.parametrize(
    "inside",
    ["http://169.254.169.254/latest/clip.mp4", "http://inner.test/clip.mp4"],
)
@pytest.mark.parametrize("way", ["redirect of the page", "source on the page", "redirect of the video"])
def test_yt_dlp_reaches_nothing_inside(brought, inside, way, tmp_path):
    """A page that redirects inside, or whose video lies inside, by address or name, is refused as an address."""
    answers = {
        "redirect of the page": {"/p": redirect(inside)},
        "source on the page": {"/p": page(inside)},
        "redirect of the video": {"/p": page("/clip.mp4"), "/clip.mp4": redirect(inside)},
    }[way]
    guard = loopback_guard(site_test="127.0.0.1", inner_test="10.0.0.1")
    guard = Guard(networks("127.0.0.1/32"), guard.resolver)
    with host(answers) as site, pytest.raises(UrlRefused) as caught:
        brought(site.url("/p", host="site.test"), guard=guard)
    assert caught.value.code == "address_refused"
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_video_is_said(brought, tmp_path):
    """yt-dlp's own reason arrives as one sentence with a code."""
    nothing = ok(b"<html>nothing</html>", "Content-Type: text/html")
    with host({"/p": nothing}) as site, pytest.raises(Unreachable, match="gave no video") as caught:
        brought(site.url("/p"), guard=loopback_guard())
    assert (caught.value.code, caught.value.retryable) == ("page_failed", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [True, False])
def test_a_page_with_too_much_is_refused(brought, length, tmp_path):
    """The size cap holds for all that yt-dlp takes together, with a length and without."""
    flood = ok(bytes(3_000_000), "Content-Type: video/mp4")
    if not length:
        flood = flood.replace(b"Content-Length: 3000000\r\n", b"")
    with host({"/p": page("/v.mp4"), "/v.mp4": flood}) as site, pytest.raises(UrlRefused) as caught:
        brought(site.url("/p"), guard=loopback_guard(), limits=Limits(max_bytes=500_000, total_seconds=60))
    assert caught.value.code == "too_large"
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_takes_for_ever_ends(brought, tmp_path):
    """A site that says nothing is left at the deadline, and so is yt-dlp's process."""
    with host({"/p": lambda _: time.sleep(60)}) as site:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            brought(site.url("/p"), guard=loopback_guard(), limits=Limits(total_seconds=4))
        assert time.monotonic() - began < 30
    assert list(tmp_path.iterdir()) == []


def confined(code, port=9, folder="."):
    """What a line of Python says in a confined process."""
    program = (
        "import sys, os, socket, subprocess, pathlib\n"
        "from services.fetch.child import Confinement\n"
        f"sys.addaudithook(Confinement({port}, pathlib.Path({str(folder)!r})))\n"
        f"try:\n    {code}\n    print('did it')\n"
        "except (PermissionError, ImportError) as error:\n    print(type(error).__name__, error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    return run.stdout.strip()


ESCAPES = {
    "tcp": "socket.create_connection(('127.0.0.1', 10))",
    "tcp6": "socket.socket(socket.AF_INET6).connect(('::1', 9))",
    "unix": "socket.socket(socket.AF_UNIX).connect('/run/x')",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "udp connected": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('8.8.8.8', 53))",
    "connect_ex": "socket.socket().connect_ex(('127.0.0.1', 10))",
    "dns": "socket.getaddrinfo('secret.example.com', 80)",
    "popen": "subprocess.run(['true'])",
    "system": "os.system('true')",
    "fork": "os.fork()",
    "exec": "os.execv('/bin/true', ['true'])",
    "write": "open('/tmp/reelgraph-escape', 'w')",
    "write low": "os.open('/tmp/reelgraph-escape', os.O_CREAT | os.O_WRONLY)",
    "write up": "open('../reelgraph-escape', 'w')",
    "rename": "os.rename('/etc/hosts', '/etc/hosts.moved')",
    "symlink": "os.symlink('/etc', 'etc')",
    "remove": "os.remove('/tmp/reelgraph-escape')",
    "curl": "import curl_cffi",
}


@pytest.mark.parametrize("way", ESCAPES)
def test_a_confined_process_cannot(way, tmp_path):
    """Each way out of the process that Python has is refused before it happens."""
    assert confined(ESCAPES[way], folder=tmp_path).startswith(("PermissionError", "ImportError curl_cffi is not used"))


def test_a_confined_process_can_still_work(tmp_path):
    """The proxy is reached, files are read everywhere and written in the own folder: the hook refuses not all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert confined(f"socket.create_connection(('127.0.0.1', {port}))", port) == "did it"
    assert confined(f"open({str(tmp_path / 'x')!r}, 'w')", folder=tmp_path) == "did it"
    assert confined("open('/etc/hosts').read()", folder=tmp_path) == "did it"


def test_the_confinement_names_events_that_exist():
    """Every event that is judged is one that this Python raises: a misspelt name would let everything pass."""
    judged = set(Confinement(9, ROOT).judges)
    assert {"socket.connect", "subprocess.Popen", "open", "import"} <= judged
    assert all("." in name or name in ("open", "import") for name in judged)


def through(proxy, request, *, token=None):
    """All that the proxy answers."""
    credentials = base64.b64encode(f"proxy:{token or proxy.token}".encode())
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
        client.sendall(request + b"\r\nProxy-Authorization: Basic " + credentials + b"\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read()


@pytest.mark.parametrize(
    "request_line",
    [
        *(b"CONNECT 169.254.169.254:443 HTTP/1.1", b"CONNECT localhost:22 HTTP/1.1", b"CONNECT [::1]:22 HTTP/1.1"),
        *(b"GET http://10.0.0.1/ HTTP/1.1", b"GET http://2130706433/ HTTP/1.1", b"GET ftp://8.8.8.8/ HTTP/1.1"),
        *(b"GET /relative HTTP/1.1", b"CONNECT u:p@8.8.8.8:443 HTTP/1.1", b"CONNECT  HTTP/1.1", b"nonsense"),
    ],
)
def test_the_proxy_refuses(request_line):
    """Addresses inside, other schemes and nonsense get 403, and why is remembered."""
    with guarded_proxy(Guard(), until=time.monotonic() + 20, max_bytes=1000) as proxy:
        assert through(proxy, request_line).startswith(b"HTTP/1.1 403 ")
        assert isinstance(proxy.refusal, UrlRefused)


def test_the_proxy_serves_its_client_alone():
    """Without the token of this download another program of the machine gets nothing."""
    with (
        host({"/": ok(b"x")}) as site,
        guarded_proxy(loopback_guard(), until=time.monotonic() + 20, max_bytes=99) as it,
    ):
        assert through(it, f"GET {site.url()} HTTP/1.1".encode(), token="guess").startswith(b"HTTP/1.1 407 ")
        assert site.asked == []
        assert b" 200 OK" in through(it, f"GET {site.url()} HTTP/1.1\r\nProxy-Connection: keep-alive".encode())
        assert b"roxy" not in site.asked[0]
        assert b"GET / HTTP/1.1\r\n" in site.asked[0]


def test_an_answer_in_the_clear_is_the_last_of_its_connection():
    """A server that would keep its connection is passed on as one that ends: the client must not ask again on it."""
    body = bytes(200_000)
    with (
        host({"/": ok(body, "Connection: keep-alive")}) as site,
        guarded_proxy(loopback_guard(), until=time.monotonic() + 20, max_bytes=300_000) as it,
    ):
        head, _, got = through(it, f"GET {site.url()} HTTP/1.1".encode()).partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert b"keep-alive" not in head
    assert got == body


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        *(("https://www.tiktok.com/@a/video/1", True), ("https://vm.tiktok.com/x", True), ("https://youtu.be/x", True)),
        *(("https://instagram.com./reel/x", True), ("https://m.youtube.com/shorts/x", True)),
        *(
            ("https://nottiktok.com/", False),
            ("https://tiktok.com.evil.test/", False),
            ("https://a.test/youtu.be", False),
        ),
    ],
)
def test_sites_with_pages_are_known_by_their_host(url, answer):
    """A site's own hosts go to yt-dlp; names that only look like them do not."""
    assert is_page(web_url(url)) is answer


def test_without_the_extra_the_command_is_named(monkeypatch, tmp_path):
    """A page without yt-dlp: one sentence with what to install."""
    monkeypatch.setattr(services.fetch.pages, "find_spec", lambda _: None)
    with pytest.raises(UrlRefused, match=r"pip install 'reelgraph\[pages\]'") as caught:
        services.fetch.fetch("https://www.tiktok.com/@a/video/1", tmp_path)
    assert caught.value.code == "pages_not_installed"


def test_the_extractors_exist():
    """Every extractor that is allowed is one that yt-dlp has: a renamed one would turn a site off."""
    if find_spec("yt_dlp") is None:
        missing("yt-dlp is not installed; get it with: pip install 'reelgraph[pages]'")
    listing = (
        "import json, yt_dlp.extractor as e; print(json.dumps([i.IE_NAME.lower() for i in e.gen_extractor_classes()]))"
    )
    run = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, timeout=120, check=True)
    names = set(json.loads(run.stdout))
    assert {name.replace("\\", "") for name in services.fetch.pages.EXTRACTORS} <= names
