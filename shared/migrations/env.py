"""Alembic's entry: migrates over the connection that `Ledger.migrate` hands in."""

from __future__ import annotations

from alembic import context

from shared import keys, webhooks  # noqa: F401  (their tables become part of Base)
from shared.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
