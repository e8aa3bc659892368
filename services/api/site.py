"""What a browser opens: the page, when it has been built, the API's documentation, and Flower.

Nothing here asks another host: Swagger UI comes from a wheel.
"""

from __future__ import annotations

import http.client
import socket
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, redirect, request, send_from_directory
from flask_openapi_swagger.plugins import RegisterPlugin
from werkzeug.wrappers import Response as WerkzeugResponse

from services.api.media import signed
from shared.errors import BadInput, Infrastructure
from shared.log import logger
from shared.settings import settings

BUILT = "static"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
UNBUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Reelgraph</title>
<h1>Reelgraph</h1>
<p>The service runs. Its page has not been built into this installation.</p>
<ul><li><a href="/docs">The API, to read and to try</a></li><li><a href="/openapi.json">OpenAPI document</a></li></ul>
</html>
"""
FLOWER_SECONDS = 20.0
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "date",
        "server",
    }
)


log = logger(__name__)


def register(app: Flask) -> None:
    """Serve the page at `/`, the documentation at `/docs` and Flower at `/flower`."""
    app.add_url_rule("/", view_func=page)
    app.add_url_rule("/assets/<path:name>", view_func=asset)
    app.add_url_rule("/docs", view_func=lambda: redirect("/docs/swagger"), endpoint="docs")
    app.register_blueprint(RegisterPlugin.register(doc_url="../openapi.json"), url_prefix="/docs")
    app.add_url_rule("/flower", view_func=lambda: redirect("/flower/"), endpoint="flower_root")
    app.add_url_rule("/flower/", view_func=flower, defaults={"path": ""}, methods=["GET", "POST"])
    app.add_url_rule("/flower/<path:path>", view_func=flower, methods=["GET", "POST"])


def built_page() -> Path:
    """The folder that the page is built into."""
    return Path(str(files("services") / "web" / BUILT))


def page() -> Response:
    """The page, or a plain one that says that it has not been built."""
    if not (built_page() / "index.html").is_file():
        return Response(UNBUILT, mimetype="text/html")
    response = send_from_directory(built_page(), "index.html", max_age=0)
    response.headers["Content-Security-Policy"] = PAGE_POLICY.replace(
        "media-src 'self'", f"media-src 'self'{_bucket()}"
    )
    return response


def _bucket() -> str:
    """What the page may play videos from beside this service; without it the page is still a page."""
    try:
        return _origin()
    except Infrastructure as error:
        log.warning("bucket_unsigned", error=str(error))
        return ""


@cache
def _origin() -> str:
    """The origin of the bucket's signed addresses, if there are any. Raises Infrastructure."""
    address = signed("origin")
    parts = urlsplit(address) if address else None
    return f" {parts.scheme}://{parts.netloc}" if parts else ""


def asset(name: str) -> Response:
    """A file of the page. Its name holds a hash of its content, so that it never changes."""
    response = send_from_directory(built_page() / "assets", name, max_age=31_536_000)
    response.cache_control.immutable = True
    return response


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=FLOWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(FLOWER_SECONDS)
        self.sock.connect(str(self._path))


def flower(path: str) -> WerkzeugResponse:
    """Hand a request on to Flower, which listens on a Unix socket only: the API's access rules are its own.

    Raises:
        BadInput: Flower is not part of this deployment (`no_flower`).
        Infrastructure: it does not answer (`flower_unreachable`).
    """
    where = settings().flower_socket
    if where is None:
        raise BadInput("Flower is not part of this deployment", code="no_flower")
    connection = _SocketConnection(where)
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    kept = ("Accept", "Content-Type", "If-None-Match", "Cookie", "X-Requested-With")
    headers = {name: request.headers[name] for name in kept if name in request.headers}
    try:
        connection.request(request.method, f"/flower/{path}{query}", request.get_data() or None, headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Infrastructure(f"Flower does not answer: {error}", code="flower_unreachable") from error
    finally:
        connection.close()
    given = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
    return Response(body, status=answer.status, headers=given)
