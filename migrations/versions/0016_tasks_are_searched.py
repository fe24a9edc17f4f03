"""Tasks are found by their metadata, by the Idempotency-Key they came with and by what they run again.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of digests, the columns and their indexes. What was there before is not found by them."""
    op.create_table(
        "task_tags",
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tag", "partner_id", "task_id", name="pk_task_tags"),
    )
    for column, index in (("rerun_of", "ix_task_bodies_rerun"), ("idempotency_key", "ix_task_bodies_key")):
        op.add_column("task_bodies", sa.Column(column, sa.Text))
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(index, "task_bodies", [column, "task_id"], sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_task_bodies_key", "task_bodies")
    op.drop_index("ix_task_bodies_rerun", "task_bodies")
    op.drop_column("task_bodies", "idempotency_key")
    op.drop_column("task_bodies", "rerun_of")
    op.drop_table("task_tags")
