"""Replays tell who asked for them and what became of what they put back; a discard is one with another deed.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the index that counts by replay."""
    op.add_column("replays", sa.Column("deed", sa.Text))
    op.add_column("replays", sa.Column("reason", sa.Text))
    op.add_column("replays", sa.Column("started_by", sa.Text))
    op.add_column("deliveries", sa.Column("replay_id", sa.Text))
    op.add_column("deliveries", sa.Column("replayed_attempts", sa.Integer))
    replayed = sa.text("replay_id IS NOT NULL")
    op.create_index(
        "ix_deliveries_replay",
        "deliveries",
        ["replay_id", "state", "attempts", "replayed_attempts"],
        sqlite_where=replayed,
        postgresql_where=replayed,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_deliveries_replay", "deliveries")
    op.drop_column("deliveries", "replayed_attempts")
    op.drop_column("deliveries", "replay_id")
    op.drop_column("replays", "started_by")
    op.drop_column("replays", "reason")
    op.drop_column("replays", "deed")
