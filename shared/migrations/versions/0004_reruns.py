"""A job may run named analyzers afresh, and say which job it repeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward. Earlier jobs run nothing afresh."""
    op.add_column("jobs", sa.Column("fresh", sa.JSON))
    op.add_column("jobs", sa.Column("rerun_of", sa.String))
    op.create_index("ix_jobs_video_sha256", "jobs", ["video_sha256"])
    op.create_index("ix_outcomes_fingerprint", "outcomes", ["fingerprint"])
