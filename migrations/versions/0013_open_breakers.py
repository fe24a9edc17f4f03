"""Lanes say until when their breaker is open, so that open ones are found by index.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, fill it from the lanes' pace, and index what is open."""
    op.add_column("lanes", sa.Column("open_until_ms", sa.BigInteger))
    postgresql = op.get_bind().dialect.name == "postgresql"
    until = (
        "CAST(CAST(pace AS json) ->> 'open_until_ms' AS bigint)"
        if postgresql
        else "json_extract(pace, '$.open_until_ms')"
    )
    op.execute(f"UPDATE lanes SET open_until_ms = {until} WHERE {until} IS NOT NULL")  # noqa: S608 - our own text
    is_open = sa.text("open_until_ms IS NOT NULL")
    op.create_index(
        "ix_lanes_open", "lanes", ["open_until_ms"], sqlite_where=is_open, postgresql_where=is_open
    )


def downgrade() -> None:
    """Drop it: the pace has it too."""
    op.drop_index("ix_lanes_open", "lanes")
    op.drop_column("lanes", "open_until_ms")
