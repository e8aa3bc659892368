"""How often a key may ask: requests a minute, counted on the broker's server so that all processes count together."""

from __future__ import annotations

from flask import Flask, g, request
from flask_limiter import Limiter

from services.api.access import Caller, needs_no_key
from shared.settings import settings


def register(app: Flask) -> None:
    """Count the requests of an app's callers.

    Without the server each process counts for itself until it is back: nobody is locked out, nobody is unlimited.
    """
    limiter = Limiter(
        _who,
        application_limits=[_limit],
        storage_uri=settings().broker,
        storage_options={"socket_timeout": 1, "socket_connect_timeout": 1},
        strategy="moving-window",
        headers_enabled=True,
        in_memory_fallback_enabled=True,
        key_prefix="reelgraph",
    )
    limiter.init_app(app)


def _caller() -> Caller | None:
    found: Caller | None = g.get("caller")
    return found


def _who() -> str:
    found = _caller()
    return found.key.id if found and found.key else "nobody"


def _limit() -> str:
    """The caller's limit; empty for none, as for what is anybody's: the page, its documents, probes."""
    found = None if needs_no_key(request) else _caller()
    limit = found.key.requests_per_minute if found and found.key else None
    return "" if limit is None else f"{limit} per minute"
