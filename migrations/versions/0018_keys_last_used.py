"""When each key was last used, to a minute.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. What was used before is not known."""
    op.add_column("api_keys", sa.Column("last_used_ms", sa.BigInteger))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("api_keys", "last_used_ms")
