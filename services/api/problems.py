"""Every error as a problem document (RFC 9457) with a stable `code`, whatever raised it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

from flask import Flask, Response, g, request
from gunicorn.http.errors import NoMoreData, ParseException
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestedRangeNotSatisfiable

from services.api.answers import PROBLEM_TYPE, Invalid, Problem
from shared.errors import (
    BadInput,
    DeadlineExceeded,
    Forbidden,
    Full,
    Infrastructure,
    QuotaExceeded,
    ReelgraphError,
    Unauthenticated,
    Unreachable,
)
from shared.log import logger
from shared.text import one_line

RETRY_SECONDS = 5

STATUS_OF_CODE = {
    "unsupported_checksum": 400,
    "unknown_job": 404,
    "unknown_upload": 404,
    "unknown_outcome": 404,
    "unknown_format": 404,
    "no_flower": 404,
    "no_video": 404,
    "beyond_end": 404,
    "upload_too_slow": 408,
    "job_open": 409,
    "analyzer_open": 409,
    "upload_open": 409,
    "upload_locked": 409,
    "wrong_offset": 409,
    "unsupported_version": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "foreign_host": 421,
    "checksum_mismatch": 460,
    "result_damaged": 500,
    "disk_full": 507,
}
"""Codes that mean more than their class does; 460 is tus's own."""

STATUS_OF_CLASS: tuple[tuple[type[ReelgraphError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (QuotaExceeded, 429),
    (BadInput, 422),
    (Infrastructure, 503),
    (Unreachable, 502),
    (DeadlineExceeded, 504),
)

CODE_OF_STATUS = {
    400: "bad_request",
    404: "no_such_route",
    405: "method_not_allowed",
    408: "upload_too_slow",
    413: "too_large",
    415: "unsupported_media_type",
    416: "bad_range",
    429: "rate_limited",
}

ModelT = TypeVar("ModelT", bound=BaseModel)

log = logger(__name__)


class Invalidated(BadInput):
    """A request whose fields do not fit; names each of them."""

    def __init__(self, errors: tuple[Invalid, ...]) -> None:
        first = errors[0]
        super().__init__(f"{first.field or 'the request'}: {first.message}", code="invalid_request")
        self.errors = errors


def invalid(error: ValidationError) -> Invalidated:
    """A failed validation as an error of the project's own."""
    return Invalidated(
        tuple(
            Invalid(field=".".join(str(part) for part in one["loc"]), message=one_line(one["msg"]))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        )
    )


def checked(model: type[ModelT], given: object) -> ModelT:
    """A part of a request as a model. Raises Invalidated."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from error


def refuse_invalid(error: ValidationError) -> Response:
    """What the OpenAPI library calls when a parameter does not fit. Always raises."""
    raise invalid(error)


def status_of(error: ReelgraphError) -> int:
    """The HTTP status that an error is answered with."""
    found = STATUS_OF_CODE.get(error.code)
    return found or next((status for kind, status in STATUS_OF_CLASS if isinstance(error, kind)), 500)


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    retryable: bool = False,
    errors: tuple[Invalid, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem document as a response."""
    title = "Checksum Mismatch" if status == 460 else HTTPStatus(status).phrase
    body = Problem(
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=one_line(request.path),
        request_id=g.get("request_id", ""),
        retryable=retryable,
        errors=errors,
    )
    response = Response(body.model_dump_json(), status=status, mimetype=PROBLEM_TYPE)
    response.headers.update(headers or {})
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="reelgraph"'
    if status in (429, 503) and "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def register(app: Flask) -> None:
    """Answer every error of an app with a problem document.

    A ValidationError that comes this far is not about the request: something stored or made here is not what it must
    be, which is answered 500 like any other fault.
    """
    app.register_error_handler(ReelgraphError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ParseException, _broken_body)
    app.register_error_handler(NoMoreData, _broken_body)
    app.register_error_handler(Exception, _unexpected)


def _ours(error: ReelgraphError) -> Response:
    status = status_of(error)
    if isinstance(error, Full):
        log.warning("request_put_off", code=error.code)
    elif status >= 500:
        log.error("request_failed", code=error.code, error=error.message)
    errors = error.errors if isinstance(error, Invalidated) else ()
    return answer(status, error.code, error.message, retryable=error.retryable, errors=errors)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code = CODE_OF_STATUS.get(status, "bad_request" if status < 500 else "internal_error")
    detail = "the request ended before its body did" if isinstance(error, ClientDisconnected) else error.description
    if status == 429:
        detail = f"this key has asked as often as it may, {error.description}"
    headers = {name: value for name, value in error.get_headers(request.environ) if name != "Content-Type"}
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        headers["Content-Range"] = f"bytes */{error.length}"
    return answer(status, code, one_line(detail or HTTPStatus(status).phrase), retryable=status == 429, headers=headers)


def _broken_body(_error: Exception) -> Response:
    """What gunicorn raises while the app reads a body in chunks."""
    return answer(400, "bad_request", "the body of the request breaks off, or its chunks are none")


def _unexpected(error: Exception) -> Response:
    log.error("request_broke", exc_info=error)
    return answer(500, "internal_error", "something broke here; the log has it under this request id")
