"""API keys; jobs and idempotency keys belong to the API key that made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward. What was there before belongs to no key."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("prefix", sa.String, nullable=False, unique=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("concurrent_jobs", sa.Integer),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_used_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
    )
    op.add_column("jobs", sa.Column("owner", sa.String))
    op.create_index("ix_jobs_owner", "jobs", ["owner"])
    # SQLite cannot change a primary key: a new table takes the old one's place
    op.create_table(
        "idempotency_keys_by_owner",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("request_digest", sa.String),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.execute(
        "INSERT INTO idempotency_keys_by_owner (owner, key, job_id, created_at)"
        " SELECT '', key, job_id, created_at FROM idempotency_keys"
    )
    op.drop_table("idempotency_keys")
    op.rename_table("idempotency_keys_by_owner", "idempotency_keys")
