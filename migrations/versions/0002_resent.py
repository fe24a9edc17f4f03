"""Attempts say whether their request was written twice."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from 0001 to 0002. Processes of the release before go on writing attempts without it."""
    op.add_column("attempts", sa.Column("resent", sa.Boolean(), nullable=True))
