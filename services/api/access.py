"""Who asks, and what they may: API keys, or nobody in particular on a machine's own loopback address.

Without keys the API would be open to any web page that the machine's user has open: a page can send requests to
127.0.0.1, and a name of its own can be made to resolve there (DNS rebinding). So without a key the request must come
from this machine, name it by a loopback name, and not come from a page of another origin.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Request, g, request

from shared.errors import BadInput, Forbidden, Unauthenticated
from shared.keys import ApiKey, Keys, Scope
from shared.settings import settings
from shared.tables import Job
from tasks.node import ledger

COOKIE = "reelgraph_key"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/"})
SESSION = "/v1/session"
"""Any key may say that it is there."""
STRANGERS = "strangers"
OPEN_PREFIXES = ("/docs", "/assets/")
ADMIN_PREFIXES = ("/metrics", "/flower")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the holder of a key, or whoever sits at this machine."""

    key: ApiKey | None

    @property
    def owner(self) -> str | None:
        """What its jobs are marked with."""
        return self.key.id if self.key else None

    @property
    def open_jobs_limit(self) -> int | None:
        """How many of its jobs may be open at once."""
        return self.key.concurrent_jobs if self.key else None

    @property
    def owners(self) -> tuple[str | None, ...] | None:
        """Whose jobs exist for this caller; None for everybody's.

        What was handed in without a key, before there were keys, belongs to those who run the service.
        """
        if self.key is None:
            return None
        return (self.key.id, None) if self.key.allows("admin") else (self.key.id,)

    def sees(self, owner: str | None) -> bool:
        """Whether what belongs to that owner exists for this caller."""
        return self.owners is None or owner in self.owners


def caller() -> Caller:
    """Who sent the request that is being answered. Raises Unauthenticated where nobody had to be named."""
    found: Caller | None = g.get("caller")
    if found is None:
        raise Unauthenticated("this needs an API key: send `Authorization: Bearer TOKEN`", code="no_key")
    return found


def holder() -> str | None:
    """For whom what the request holds is counted: its key, all strangers as one, None for who needs no key."""
    found: Caller | None = g.get("caller")
    return STRANGERS if found is None else found.owner


def visible_job(job_id: str) -> Job:
    """The job. Raises BadInput (`unknown_job`) also when it is somebody else's: that it exists is not told."""
    job = ledger().job(job_id)
    if not caller().sees(job.owner):
        raise BadInput(f"there is no job {job_id}", code="unknown_job")
    return job


def register(app: Flask) -> None:
    """Ask every request of an app who sends it."""
    app.before_request(identify)


def identify() -> None:
    """Find out who asks and whether they may.

    Raises:
        Unauthenticated: no key where one is needed, or one that is none (`no_key`, `bad_key`, `revoked_key`).
        Forbidden: the key lacks the scope (`missing_scope`), or a page of another origin asks (`foreign_origin`).
        BadInput: without a key, a name that is not this machine's (`foreign_host`).
    """
    _refuse_foreign_origin()
    key = _key(request)
    if key is not None:
        g.caller = Caller(key)
        if not needs_no_key(request) and request.path != SESSION:
            key.require(_scope(request))
        return
    if settings().require_keys:
        if not needs_no_key(request):
            raise Unauthenticated("this needs an API key: send `Authorization: Bearer TOKEN`", code="no_key")
        return
    _refuse_strangers()
    g.caller = Caller(None)


def _key(asked: Request) -> ApiKey | None:
    """The key that a request shows. One that is none, or no longer, counts as none where none is needed.

    A browser goes on sending the cookie of a revoked key, or of another server of this machine: it must still get the
    page and its way out.
    """
    try:
        token = _token(asked)
        return None if token is None else Keys(ledger()).authenticate(token)
    except Unauthenticated:
        by_cookie = "Authorization" not in asked.headers
        if needs_no_key(asked) or (by_cookie and not settings().require_keys):
            return None
        raise


def _token(asked: Request) -> str | None:
    header = asked.headers.get("Authorization", "")
    if header:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            raise Unauthenticated("the Authorization header must be `Bearer TOKEN`", code="bad_key")
        return token.strip()
    return asked.cookies.get(COOKIE)


def _scope(asked: Request) -> Scope:
    if asked.path.startswith(ADMIN_PREFIXES):
        return "admin"
    return "read" if asked.method in SAFE_METHODS else "write"


def needs_no_key(asked: Request) -> bool:
    """Whether anybody may ask this: the page, the API's documents, probes, and the way out."""
    signs_out = asked.path == SESSION and asked.method == "DELETE"
    return asked.path in OPEN_PATHS or asked.path.startswith(OPEN_PREFIXES) or signs_out


def _refuse_foreign_origin() -> None:
    """A browser says which page asks; programs say nothing. A cookie or a loopback address must not serve strangers."""
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise Forbidden(f"a page of {origin} may not do this", code="foreign_origin")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Forbidden("a page of another site may not do this", code="foreign_origin")


def _refuse_strangers() -> None:
    if not is_loopback(request.remote_addr or ""):
        raise Unauthenticated("without a key, only this machine itself may ask", code="no_key")
    host = urlsplit(f"//{request.host}").hostname or ""
    if not is_loopback(host):
        message = f"without a key, this answers to localhost and loopback addresses only, not to {host!r}"
        raise BadInput(message, code="foreign_host")


def is_loopback(name: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if name.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
