"""What gunicorn is told besides the app, as `--config python:services.api.wsgi_server`.

Requests that are no HTTP, or too long, are answered before there is an app, by gunicorn's own HTML; and its own log is
plain text. Both are as everywhere else with this.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Any

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
from gunicorn.workers.gthread import ThreadWorker

from services.api.answers import PROBLEM_TYPE, Problem
from shared.ledger import new_id
from shared.log import configure_logging, logger
from shared.settings import settings
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

log = logger(__name__)


def refusal(error: Exception) -> tuple[int, str]:
    """Status and code for what went wrong outside of the app."""
    fitting = ((status, code) for kinds, status, code in REFUSALS if isinstance(error, kinds))
    return next(fitting, (500, "internal_error"))


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads, with problem documents (RFC 9457) for what does not reach the app."""

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


worker_class = Worker
logger_class = Log
