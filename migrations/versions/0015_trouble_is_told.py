"""Endpoints that fail are told of once; dead deliveries at most once a minute and lane.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add when it was told, and the digests."""
    op.add_column("endpoints", sa.Column("failing_told_ms", sa.BigInteger))
    untold = sa.text(
        "failing_since_ms IS NOT NULL AND failing_told_ms IS NULL AND state = 'enabled' "
        "AND deleted_ms IS NULL"
    )
    op.create_index(
        "ix_endpoints_failing",
        "endpoints",
        ["failing_since_ms"],
        sqlite_where=untold,
        postgresql_where=untold,
    )
    op.create_table(
        "dead_digests",
        sa.Column("lane_id", sa.Text, primary_key=True),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("died", sa.BigInteger, nullable=False),
        sa.Column("delivery_id", sa.Text, nullable=False),
    )
    op.create_index("ix_dead_digests_next_ms", "dead_digests", ["next_ms"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("dead_digests")
    op.drop_index("ix_endpoints_failing", "endpoints")
    op.drop_column("endpoints", "failing_told_ms")
