"""A partner may be confined to some task types.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; null is all types."""
    op.add_column("partners", sa.Column("task_types", sa.Text))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("partners", "task_types")
