"""The Flask app, put together. It holds nothing itself: any number of processes serve it side by side."""

from __future__ import annotations

import re
import time

import structlog
from flask import Response, g, request
from flask_openapi import OpenAPI

from services.api import (
    access,
    arriving,
    catalogue,
    documentation,
    events,
    exports,
    jobs,
    media,
    operations,
    problems,
    rates,
    results,
    session,
    site,
    tracing,
    uploads,
)
from services.api.answers import Invalid, JobView, Snapshot
from shared.isolated import warm_up
from shared.log import configure_logging, logger
from shared.settings import settings
from shared.tables import new_id

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
API_PREFIX = "/v1/"
LISTS = frozenset({"kinds"})
"""Parameters of a query that may be given several times."""
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

log = logger(__name__)


def create_app() -> OpenAPI:
    """A new app over the settings of this process."""
    configure_logging("INFO", json=settings().log_json)
    app = OpenAPI(
        __name__,
        info=documentation.INFO,
        security_schemes={documentation.BEARER: documentation.BEARER_SCHEME},
        validation_error_callback=problems.refuse_invalid,
        doc_ui=False,
        static_folder=None,
    )
    app.url_map.strict_slashes = False
    app.before_request(_begin)
    problems.register(app)
    access.register(app)
    arriving.register(app)
    rates.register(app)
    app.before_request(_refuse_repeated)
    app.before_request(arriving.receive)
    for blueprint in (jobs, events, results, exports, media, uploads, session, catalogue, operations):
        app.register_api(blueprint.api)
    documentation.register(app, (JobView, jobs.NewJob, Snapshot))
    site.register(app)
    uploads.register(app)
    tracing.register(app)
    app.after_request(_end)
    warm_up()
    return app


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else new_id()
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=g.request_id)
    job = (request.view_args or {}).get("job_id")
    if job is not None and re.fullmatch(jobs.ID, job):
        structlog.contextvars.bind_contextvars(job=job)


def _refuse_repeated() -> None:
    """Raises Invalidated for a query that says the same thing twice: which of both was meant is not guessed."""
    if request.path.startswith(API_PREFIX):
        twice = [name for name, values in request.args.lists() if len(values) > 1 and name not in LISTS]
        if twice:
            raise problems.Invalidated(tuple(Invalid(field=name, message="is given twice") for name in twice))


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Frame-Options", "DENY")
    if request.path not in QUIET_PATHS:
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            seconds=round(time.monotonic() - g.began, 4),
        )
    return response
