"""For those who run it: liveness, readiness, metrics."""

from __future__ import annotations

from typing import Literal

from flask import Response

from services.api.documentation import METRICS, TAG_OPERATIONS, blueprint
from services.api.metrics import exposition
from services.api.readiness import Readiness, readiness
from shared.schema import Frozen

api = blueprint("operations", __name__, TAG_OPERATIONS)


class Health(Frozen):
    """That this process answers."""

    status: Literal["alive"] = "alive"


@api.get("/healthz", responses={200: Health})
def healthz() -> Response:
    """Whether this process is alive. Asks nothing else."""
    return Response(Health().model_dump_json(), mimetype="application/json")


@api.get("/readyz", responses={200: Readiness, 503: Readiness})
def readyz() -> Response:
    """Whether broker, ledger and storage answer. Never takes more than 2 s."""
    found = readiness()
    return Response(found.model_dump_json(), status=200 if found.ready else 503, mimetype="application/json")


@api.get("/metrics", responses=METRICS)
def metrics() -> Response:
    """Prometheus' metrics. With keys in use, the key needs the scope `admin`."""
    return Response(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
