"""What gunicorn is told besides the app, as `--config python:services.api.wsgi_server`.

Requests that are no HTTP, or too long, are answered before there is an app, by gunicorn's own HTML; its own log is
plain text; and headers that come a byte at a time hold a thread for ever. All is as everywhere else with this.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    ForbiddenProxyRequest,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

from services.api.answers import PROBLEM_TYPE, Problem
from services.api.pace import CountedSocket, look, sending
from shared.log import configure_logging, logger
from shared.settings import settings
from shared.tables import new_id
from shared.text import one_line

REFUSALS: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((LimitRequestLine,), 414, "uri_too_long"),
    ((LimitRequestHeaders,), 431, "headers_too_large"),
    ((ExpectationFailed,), 417, "expectation_failed"),
    ((UnsupportedTransferCoding,), 501, "unsupported_transfer_coding"),
    ((ForbiddenProxyRequest,), 403, "forbidden_proxy"),
    # what the app itself has answered wrongly
    ((InvalidResponseHeader, InvalidResponseHeaderName, ConfigurationProblem), 500, "internal_error"),
    ((ParseException,), 400, "bad_request"),
)
"""By the first class that fits."""

SAID_CHARACTERS = 200
SEND_SECONDS = 5.0

HEAD_SECONDS = 10.0
"""What a request's line and headers may take from their first byte."""

log = logger(__name__)


def refusal(error: Exception) -> tuple[int, str]:
    """Status and code for what went wrong outside of the app."""
    fitting = ((status, code) for kinds, status, code in REFUSALS if isinstance(error, kinds))
    return next(fitting, (500, "internal_error"))


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, with problem documents (RFC 9457) for what does not reach the app, and a time for headers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads: dict[TConn, float] = {}
        """Connections whose request's head is being read, and since when."""

    def handle(self, conn: TConn) -> Any:
        """Serve one request of a connection; the thread's next one is logged without this one's ids."""
        self._heads[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._heads.pop(conn, None)
            structlog.contextvars.clear_contextvars()

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Ask the app: the head is here. What is read from now on is counted."""
        self._heads.pop(conn, None)
        counted = CountedSocket(conn.sock)
        req.unreader.sock = counted
        sending.set(counted)
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """What gunicorn calls once a second to end idle connections: end what comes too slowly as well."""
        super().murder_pending()
        look()
        for conn, began in self._heads.copy().items():
            if time.monotonic() - began > HEAD_SECONDS:
                with suppress(OSError):  # it is closed already
                    conn.sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer and log what went wrong before the app was asked, or after it had answered."""
        status, code = refusal(exc)
        request_id = new_id()
        if status >= 500:
            log.error("request_broke", request=request_id, code=code, exc_info=exc)
            detail = "something broke here; the log has it under this request id"
        else:
            detail = one_line(str(exc))[:SAID_CHARACTERS] or HTTPStatus(status).phrase
            log.warning("request_unreadable", request=request_id, status=status, code=code, error=detail)
        phrase = HTTPStatus(status).phrase
        path = one_line(getattr(req, "path", None) or "")
        body = Problem(title=phrase, status=status, detail=detail, code=code, instance=path, request_id=request_id)
        content = body.model_dump_json().encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: {PROBLEM_TYPE}\r\n"
            f"Content-Length: {len(content)}\r\nX-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\n\r\n"
        )
        with suppress(OSError):  # who asked is gone
            client.settimeout(SEND_SECONDS)
            client.sendall(head.encode("ascii") + content)


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log in the form of all others: JSON in containers."""

    def setup(self, cfg: Config) -> None:
        """Hand gunicorn's records to the handlers of the root."""
        super().setup(cfg)
        configure_logging("INFO", json=settings().log_json)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def post_worker_init(_worker: Worker) -> None:
    """What gunicorn calls in each process before that takes requests: find out, without haste, whether it can serve."""
    from services.api.readiness import FIRST_SECONDS, readiness  # the process that only watches over them needs none

    readiness(FIRST_SECONDS)


forwarder_headers = ""
"""No SCRIPT_NAME or PATH_INFO from any header: whoever sits on this machine counts as a proxy."""
worker_class = Worker
logger_class = Log
