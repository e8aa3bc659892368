"""Tests of fetching: real sockets on loopback, hosts that lie, drip, redirect and rebind; every refusal by its code."""

import gzip
import hashlib
import os
import ssl
import time

import pytest
import trustme

from services.fetch import Limits, fetch
from shared.errors import BadInput, DeadlineExceeded, Unreachable, UrlRefused
from shared.guard import Guard
from shared.outgoing import web_url
from tests.support.hosts import host, loopback_guard, ok, redirect

BODY = os.urandom(300_000)


def refused(url, folder, *, kind=UrlRefused, limits=None, guard=None):
    """The error of a fetch that has to fail; nothing may be left of it."""
    with pytest.raises(kind) as caught:
        fetch(url, folder, limits=limits, guard=guard or loopback_guard())
    assert list(folder.iterdir()) == []
    assert "\n" not in caught.value.message
    return caught.value


def test_a_file_is_brought(tmp_path):
    """The bytes arrive whole, with the name from the address, and progress is told up to the last byte."""
    told = []
    with host({"/a%20b/re%C3%A9l.mp4": ok(BODY)}) as server:
        got = fetch(server.url("/a b/re%C3%A9l.mp4?sig=1#t"), tmp_path, guard=loopback_guard(), report=told.append)
    assert hashlib.sha256(got.path.read_bytes()).digest() == hashlib.sha256(BODY).digest()
    assert (got.name, got.size_bytes, told[-1]) == ("reél.mp4", len(BODY), len(BODY))
    (request,) = server.asked
    assert b"GET /a%20b/re%C3%A9l.mp4?sig=1 HTTP/1.1\r\n" in request
    assert b"\r\nAccept-Encoding: identity\r\n" in request


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9/", "http://2130706433/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/"),
        *("http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:a9fe:a9fe]/", "http://169.254.169.254/latest"),
        *("http://localhost/", "http://LOCALHOST/", "http://10.0.0.1/", "http://192.168.0.1:8080/", "http://0/"),
        *("http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://100.64.0.1/", "http://①②⑦.0.0.1/"),
        *("http://%31%32%37.0.0.1/", "http:\\\\127.0.0.1/"),
    ],
)
def test_addresses_inside_are_refused(url, tmp_path):
    """Every spelling of an address that is not public is refused before a connection, and its address is not told."""
    assert refused(url, tmp_path, guard=Guard()).code == "address_refused"


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://example.com/a", "gopher://x/", "data:,x", "", "reel.mp4", "//example.com/a"),
        *("http://user:secret@example.com/", "http://user@example.com/", "http://", "http://[::1/", "http://a b/"),
        *("http://a\r\nb/", "http://a/\tb", "\nhttp://a/", "http://a/\x00", "http://a/\x7f"),
        "http://example.com/" + "a" * 9000,
    ],
)
def test_what_is_no_web_address_is_refused(url, tmp_path):
    """Other schemes, credentials, and what is no address: refused, and a password is not repeated."""
    error = refused(url, tmp_path, guard=Guard())
    assert error.code == "bad_url"
    assert isinstance(error, BadInput)
    assert "secret" not in error.message


def test_redirects_are_followed(tmp_path):
    """Relative, absolute and scheme-less redirects lead to the file, whose own address gives its name."""
    with host({"/c/d.mp4": ok(BODY)}) as last:
        answers = {"/a": redirect("b?x=1", 301), "/b": redirect(f"//127.0.0.1:{last.port}/c/d.mp4", 308)}
        with host(answers) as first:
            got = fetch(first.url("/a"), tmp_path, guard=loopback_guard())
    assert (got.name, got.path.read_bytes()) == ("d.mp4", BODY)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "address_refused"),
        ("http://[::ffff:169.254.169.254]/", "address_refused"),
        ("http://2852039166/", "address_refused"),
        ("//10.0.0.1/", "address_refused"),
        ("file:///etc/passwd", "bad_url"),
        ("http://u:p@127.0.0.1/", "bad_url"),
        ("/loop", "too_many_redirects"),
    ],
)
def test_redirects_are_judged(location, code, tmp_path):
    """A public host that redirects inside, to another scheme, or for ever gains nothing."""
    with host({"/": redirect(location), "/loop": redirect("/loop")}) as server:
        assert refused(server.url(), tmp_path).code == code
        assert len(server.asked) <= 6


def test_a_redirect_to_nowhere_is_said(tmp_path):
    """A redirect without a target is the other side's fault."""
    with host({"/": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}) as server:
        assert "redirects to nowhere" in refused(server.url(), tmp_path, kind=Unreachable).message


def test_a_name_that_is_rebound_is_refused(tmp_path):
    """The name of a first, allowed answer leads inside at the look-up after its redirect: refused then."""
    with host({"/": redirect("/again"), "/again": ok(BODY)}) as server:
        guard = loopback_guard(rebind_test=["127.0.0.1", "169.254.169.254"])
        assert refused(server.url(host="rebind.test"), tmp_path, guard=guard).code == "address_refused"
        assert len(server.asked) == 1


def test_a_rebinding_name_cannot_move_the_connection(tmp_path):
    """Between judging and connecting nobody is asked again: the second, forbidden answer is never used."""
    with host({"/": ok(BODY)}) as server:
        guard = loopback_guard(rebind_test=["127.0.0.1", "169.254.169.254"])
        assert fetch(server.url(host="rebind.test"), tmp_path, guard=guard).size_bytes == len(BODY)


def test_proxies_of_the_environment_are_not_used(tmp_path, monkeypatch):
    """A proxy would connect for us, unjudged: none is taken, whatever the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with host({"/": ok(BODY)}) as server:
        assert fetch(server.url(), tmp_path, guard=loopback_guard()).size_bytes == len(BODY)


LIMIT = Limits(max_bytes=100_000)


@pytest.mark.parametrize(
    "answer",
    [
        ok(BODY),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"c350\r\n" % () + BODY[:50_000] + b"\r\n"
        b"30d41\r\n" + BODY[:200_001] + b"\r\n0\r\n\r\n",
    ],
    ids=["length", "no length", "chunked"],
)
def test_too_large_is_refused(answer, tmp_path):
    """With a length, without one, and in chunks: no more than the limit is taken."""
    with host({"/": answer}) as server:
        error = refused(server.url(), tmp_path, limits=LIMIT)
    assert (error.code, "0.1 MB" in error.message) == ("too_large", True)


def test_a_length_that_lies(tmp_path):
    """A length that is too long is a broken connection; of one that is too short nothing behind it is taken."""
    with host(
        {"/long": ok(BODY).replace(b"300000", b"300001"), "/short": ok(BODY).replace(b"300000", b"200000")}
    ) as it:
        assert refused(it.url("/long"), tmp_path, kind=Unreachable).code == "unreachable"
        assert fetch(it.url("/short"), tmp_path, guard=loopback_guard()).path.read_bytes() == BODY[:200_000]


def test_a_gzip_bomb_does_not_go_off(tmp_path):
    """A compressed answer that nobody asked for is refused by its header; nothing is ever decompressed."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    with host({"/": ok(bomb, "Content-Encoding: gzip")}) as server:
        assert refused(server.url(), tmp_path, limits=LIMIT).code == "encoded"


def drip(seconds, first=b"HTTP/1.1 200 OK\r\n\r\n"):
    """A script that sends a byte every so often, for ever."""

    def send(stream):
        stream.sendall(first)
        while True:
            stream.sendall(b"x")
            time.sleep(seconds)

    return send


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        (drip(0.05), Limits(slow_seconds=0.5, slow_bytes=1000)),
        (drip(0.05), Limits(total_seconds=0.7, slow_bytes=0)),
        (drip(0.05, b"HTTP/1.1 200 OK\r\nX-Never-Ends: "), Limits(slow_seconds=0.5)),
        (lambda _: time.sleep(30), Limits(slow_seconds=0.5)),
    ],
    ids=["slow body", "total", "slow head", "silence"],
)
def test_slowness_ends(script, limits, tmp_path):
    """A byte now and then keeps no connection alive: body, head and silence each have an end."""
    with host({"/": script}) as server:
        began = time.monotonic()
        assert refused(server.url(), tmp_path, kind=DeadlineExceeded, limits=limits).retryable
        assert time.monotonic() - began < 20


def test_endless_heads_end(tmp_path):
    """Headers without end are refused before they fill the memory."""

    def send(stream):
        stream.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            stream.sendall(f"X-{number}: {'y' * 1000}\r\n".encode())

    with host({"/": send}) as server:
        assert refused(server.url(), tmp_path, kind=Unreachable).code == "unreachable"


@pytest.mark.parametrize(
    ("answer", "kind", "code", "retryable"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Unreachable, "http_404", False),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Unreachable, "http_503", True),
        (b"SSH-2.0-OpenSSH_9\r\n", Unreachable, "unreachable", True),
        (b"", Unreachable, "unreachable", True),
        (ok(b"<html>", "Content-Type: text/html; charset=utf-8"), UrlRefused, "not_a_file", False),
        (ok(b""), UrlRefused, "empty_file", False),
    ],
    ids=["404", "503", "no HTTP", "hangs up", "page", "empty"],
)
def test_bad_answers_are_said(answer, kind, code, retryable, tmp_path):
    """Each has its code, and says whether another try may help."""
    with host({"/": answer}) as server:
        error = refused(server.url(), tmp_path, kind=kind)
    assert (error.code, error.retryable) == (code, retryable)


def test_who_reports_can_cancel(tmp_path):
    """What `report` raises ends the download and leaves nothing."""

    def stop(_):
        raise KeyboardInterrupt

    with host({"/": ok(BODY)}) as server, pytest.raises(KeyboardInterrupt):
        fetch(server.url(), tmp_path, guard=loopback_guard(), report=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def authority(tmp_path_factory, monkeypatch):
    """A certificate authority that this process trusts."""
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return made


def tls(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_https_is_verified(authority, tmp_path):
    """A certificate of a trusted authority for that name passes, although the connection went to a judged address."""
    with host({"/": ok(BODY)}, tls=tls(authority, "video.test")) as server:
        guard = loopback_guard(video_test="127.0.0.1")
        url = server.url(host="video.test", scheme="https")
        assert fetch(url, tmp_path, guard=guard).size_bytes == len(BODY)
        assert f"Host: video.test:{server.port}".encode() in server.asked[0]


@pytest.mark.parametrize("stranger", ["authority", "name"])
def test_untrusted_certificates_are_refused(stranger, authority, tmp_path):
    """Another authority's certificate, or one for another name, ends in a code of its own and is not tried again."""
    issuer, name = (trustme.CA(), "video.test") if stranger == "authority" else (authority, "other.test")
    with host({"/": ok(BODY)}, tls=tls(issuer, name)) as server:
        guard = loopback_guard(video_test="127.0.0.1")
        url = server.url(host="video.test", scheme="https")
        error = refused(url, tmp_path, kind=Unreachable, guard=guard)
    assert (error.code, error.retryable, server.asked) == ("bad_certificate", False, [])


def test_https_does_not_become_http(authority, tmp_path):
    """A redirect out of TLS is refused."""
    with host({"/": redirect("http://127.0.0.1/")}, tls=tls(authority, "127.0.0.1")) as server:
        assert refused(server.url(scheme="https"), tmp_path).code == "downgrade"


def test_an_ipv6_address_keeps_its_brackets():
    """The authority of an IPv6 address is written with brackets, its host without."""
    url = web_url("https://[2606:4700::1111]:8443/a?b#c")
    assert (url.host, url.authority, url.path) == ("2606:4700::1111", "[2606:4700::1111]:8443", "/a?b")
    assert (url.text, url.shown) == ("https://[2606:4700::1111]:8443/a?b", "https://[2606:4700::1111]:8443/a")
