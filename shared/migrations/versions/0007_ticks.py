"""When a job was submitted by the clock that nobody sets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward. Jobs of an older version have their deadline by the time of day, as before."""
    op.add_column("jobs", sa.Column("boot", sa.String))
    op.add_column("jobs", sa.Column("submitted_ticks", sa.Double))
