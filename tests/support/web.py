"""A web server that behaves as badly as the internet, and pins of files that lie on it or on this disk."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What a server serves, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    """The n-th answer breaks off after so many bytes; later answers are whole."""
    statuses: list[int] = field(default_factory=list)
    """The n-th answer is this HTTP status."""
    hold: threading.Event | None = None
    """An answer that broke off keeps its connection open and silent until this is set."""
    ranges: bool = True
    only_agent: str = ""
    """Others are answered 403."""
    token: str = ""
    """Who does not show it is answered 401, who shows another one 403."""
    moved: dict[str, str] = field(default_factory=dict)
    """Paths that are redirected, and where to."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of every request."""
    shown: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Authorization header of every request."""
    url: str = ""


@contextmanager
def served(site):
    """Serve the site on a free port; `site.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self, site)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(request, site):
    """One GET."""
    path, asked = request.path, request.headers.get("Range")
    shown = request.headers.get("Authorization")
    site.asked.append((path, asked))
    site.shown.append((path, shown))
    if site.statuses:
        request.send_error(site.statuses.pop(0))
    elif site.token and shown != f"Bearer {site.token}":
        request.send_error(401 if shown is None else 403)
    elif path in site.moved:
        request.send_response(307)
        request.send_header("Location", site.moved[path])
        request.send_header("Content-Length", "0")
        request.end_headers()
    elif path not in site.files:
        request.send_error(404)
    elif site.only_agent not in request.headers.get("User-Agent", ""):
        request.send_error(403)
    else:
        send(request, site, site.files[path], asked)


def send(request, site, content, asked):
    """A whole answer or a range; it may break off."""
    start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and site.ranges else 0
    if start and start >= len(content):
        request.send_error(416)
        return
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Length", str(len(content) - start))
    kind = "text/html" if content.startswith(b"<") else "application/octet-stream"
    request.send_header("Content-Type", "application/json" if content.startswith(b"{") else kind)
    request.end_headers()
    cut = site.cuts.pop(0) if site.cuts else len(content)
    request.wfile.write(content[start : start + cut])
    if site.hold and start + cut < len(content):
        site.hold.wait(60)


def sha256(content):
    """The content's sha256 as hex."""
    return hashlib.sha256(content).hexdigest()


def zipped(members):
    """A zip archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members):
    """A tar.gz archive; a member whose value is a str is a symbolic link to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pinned(content, **fields):
    """A TOML inline table that pins content by sha256 and size."""
    fields |= {"sha256": sha256(content), "size_bytes": len(content)}
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in fields.items()) + " }"


def write_pins(path, artifacts, entries, **more):
    """Write a pins file. `artifacts`: inline tables by name; `entries`: lists of inline tables by name.

    `more`: further lines for entries, by name.
    """
    lines = ["[artifacts]", *(f"{name} = {table}" for name, table in artifacts.items())]
    for name, files in entries.items():
        lines += [f"[entries.{name}]", 'summary = "test"', 'licence = "CC0-1.0"', f"files = [{', '.join(files)}]"]
        lines += [more[name]] if name in more else []
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
