"""Which ledger this is."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward. A ledger that was copied is the same one; a new one is another."""
    table = op.create_table("installation", sa.Column("id", sa.String, primary_key=True))
    op.bulk_insert(table, [{"id": str(uuid.uuid4())}])
