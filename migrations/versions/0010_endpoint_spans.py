"""What endpoints' attempts came to, by minute and hour; dead letters of an endpoint are counted by index.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the index."""
    op.create_table(
        "endpoint_spans",
        sa.Column("endpoint_id", sa.Text, primary_key=True),
        sa.Column("length_ms", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.Text, nullable=False),
        sa.Column("times", sa.Text, nullable=False),
    )
    op.create_index("ix_endpoint_spans_age", "endpoint_spans", ["length_ms", "at_ms"])
    dead = sa.text("state = 'dead' AND discarded_ms IS NULL")
    op.create_index(
        "ix_deliveries_dead_endpoint",
        "deliveries",
        ["endpoint_id", "ended_ms", "id"],
        sqlite_where=dead,
        postgresql_where=dead,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_deliveries_dead_endpoint", "deliveries")
    op.drop_table("endpoint_spans")
