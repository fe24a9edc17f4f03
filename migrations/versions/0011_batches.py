"""Batches: many tasks with one end.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATES = ("scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired")


def upgrade() -> None:
    """Make the tables, and the column that names a task's batch."""
    op.add_column("tasks", sa.Column("batch_id", sa.Text))
    known = sa.text("batch_id IS NOT NULL")
    for name, columns in (
        ("ix_tasks_batch", ["batch_id", "id"]),
        ("ix_tasks_batch_state", ["batch_id", "state", "id"]),
    ):
        op.create_index(name, "tasks", columns, sqlite_where=known, postgresql_where=known)
    op.create_table(
        "batches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("last_task_id", sa.Text),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("defaults", sa.Text, nullable=False),
        sa.Column("callback_url", sa.Text),
        sa.Column("callback_origin", sa.Text),
        sa.Column("endpoint_ids", sa.Text),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("trace_parent_id", sa.Text, nullable=False),
        sa.Column("trace_flags", sa.Integer, nullable=False),
        sa.Column("trace_state", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Column("cancel_requested_ms", sa.BigInteger),
        sa.Column("completed_ms", sa.BigInteger),
    )
    op.create_index("ix_batches_partner", "batches", ["partner_id", "id"])
    op.create_index("ix_batches_partner_state", "batches", ["partner_id", "state", "id"])
    cancelling = sa.text("cancel_requested_ms IS NOT NULL AND state = 'running'")
    op.create_index(
        "ix_batches_cancelling",
        "batches",
        ["cancel_requested_ms"],
        sqlite_where=cancelling,
        postgresql_where=cancelling,
    )
    op.create_table(
        "batch_counts",
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("shard", sa.Text, primary_key=True),
        sa.Column("moves", sa.BigInteger, nullable=False),
        *(sa.Column(state, sa.BigInteger, nullable=False) for state in STATES),
    )
    sharded = sa.text("shard <> ''")
    op.create_index(
        "ix_batch_counts_shard", "batch_counts", ["shard"], sqlite_where=sharded, postgresql_where=sharded
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("batch_counts")
    op.drop_table("batches")
    op.drop_index("ix_tasks_batch_state", "tasks")
    op.drop_index("ix_tasks_batch", "tasks")
    op.drop_column("tasks", "batch_id")
