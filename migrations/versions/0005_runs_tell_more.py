"""A run keeps its worker, its last log lines, and the exception it ended with.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; runs of before have none of it."""
    op.add_column("runs", sa.Column("host", sa.Text))
    op.add_column("runs", sa.Column("pid", sa.Integer))
    op.add_column("runs", sa.Column("log", sa.Text))
    op.add_column("runs", sa.Column("raised", sa.Text))


def downgrade() -> None:
    """Drop them."""
    for name in ("raised", "log", "pid", "host"):
        op.drop_column("runs", name)
