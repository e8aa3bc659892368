"""Jobs, outcomes and idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("deployment", sa.String, nullable=False),
        sa.Column("profile", sa.String, nullable=False),
        sa.Column("video_sha256", sa.String, nullable=False),
        sa.Column("source_name", sa.String),
        sa.Column("media", sa.JSON, nullable=False),
        sa.Column("requested", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("deadline_at", sa.Double, nullable=False, index=True),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
    )
    op.create_table(
        "outcomes",
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("analyzer", sa.String, primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("status", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("queued_at", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("limit_at", sa.Double),
        sa.Column("fingerprint", sa.String),
        sa.Column("report", sa.JSON),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
