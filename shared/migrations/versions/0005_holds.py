"""Who holds a run, how often its process died and of what, and how many decode passes it began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward. Nobody holds what was under way in an older version: the reconciler queues it again."""
    op.add_column("outcomes", sa.Column("holder", sa.String))
    op.add_column("outcomes", sa.Column("beat", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outcomes", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outcomes", sa.Column("died_of", sa.String))
    op.add_column("outcomes", sa.Column("decode_passes", sa.Integer, nullable=False, server_default="0"))
