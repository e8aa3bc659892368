"""The HTTP API: `gunicorn 'services.api:create_app()'`."""

from __future__ import annotations

from services.api.app import create_app

__all__ = ["create_app"]
