"""How many runs of which kind went with their deleted jobs, so that what is counted never falls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Forward. What was deleted before is not known any more."""
    op.create_table(
        "deleted_runs",
        sa.Column("analyzer", sa.String, primary_key=True),
        sa.Column("status", sa.String, primary_key=True),
        sa.Column("cached", sa.Boolean, primary_key=True),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
    )
