"""A key in a cookie, for browsers: a page's `<video>` and `EventSource` cannot send an Authorization header."""

from __future__ import annotations

from flask import Response, request

from services.api.access import COOKIE, caller
from services.api.documentation import TAG_OPERATIONS, blueprint
from shared.schema import Frozen

api = blueprint("session", __name__, TAG_OPERATIONS, url_prefix="/v1/session")


class Session(Frozen):
    """Who the caller is."""

    name: str | None
    scopes: tuple[str, ...]


@api.get("", responses={200: Session})
def who() -> Response:
    """Who the caller is and what it may do. Without keys: nobody in particular, who may do all."""
    return _answer()


@api.post("", responses={200: Session})
def sign_in() -> Response:
    """Keep the key of this request in a cookie, which scripts cannot read and other sites cannot use."""
    response = _answer()
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        response.set_cookie(COOKIE, token.strip(), httponly=True, samesite="Strict", secure=request.is_secure, path="/")
    return response


@api.delete("", responses={204: None})
def sign_out() -> Response:
    """Forget the key."""
    response = Response(status=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict", path="/")
    return response


def _answer() -> Response:
    key = caller().key
    session = Session(name=key.name, scopes=tuple(key.scopes)) if key else Session(name=None, scopes=("admin",))
    return Response(session.model_dump_json(), mimetype="application/json")
