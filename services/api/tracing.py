"""A span around each request, below the caller's own where it sends one (W3C Trace Context)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from shared import traces

StartResponse = Callable[..., Any]
Environ = dict[str, Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


def register(app: Flask) -> None:
    """Trace an app's requests when traces are on. Raises BadInput (`no_traces`) when they cannot be."""
    traces.check()
    if traces.is_on():
        app.wsgi_app = _traced(app.wsgi_app)  # type: ignore[assignment, method-assign]


def _traced(inner: Wsgi) -> Wsgi:
    def outer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        parent = environ.get("HTTP_TRACEPARENT")
        carried = {"traceparent": parent} if parent else {}
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with traces.span("request", carried=carried, method=method, path=path) as request:

            def started(status: str, *rest: Any) -> Any:
                request.note(http_status=int(status[:3]))
                if status.startswith("5"):
                    request.fail(status)
                return start_response(status, *rest)

            return inner(environ, started)

    return outer
