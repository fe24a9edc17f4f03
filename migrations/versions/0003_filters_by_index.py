"""Listings are filtered by state and by type through indexes of their own.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_tasks_partner_state", "tasks", ["partner_id", "state", "id"])
    op.create_index("ix_tasks_partner_type", "tasks", ["partner_id", "type", "id"])
    op.create_index("ix_deliveries_partner_state", "deliveries", ["partner_id", "state", "id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_deliveries_partner_state", "deliveries")
    op.drop_index("ix_tasks_partner_type", "tasks")
    op.drop_index("ix_tasks_partner_state", "tasks")
