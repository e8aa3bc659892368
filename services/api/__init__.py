"""The HTTP API: `gunicorn 'services.api:create_app()'`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_openapi import OpenAPI


def create_app() -> OpenAPI:
    """A new app over the settings of this process."""
    from services.api import app  # a client of the API needs its types, and no server

    return app.create_app()
