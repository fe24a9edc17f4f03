"""What failed is found by its error, and dead letters by what they have in common, through indexes.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_DEAD = "state = 'dead' AND discarded_ms IS NULL"
_FAILED = "last_error IS NOT NULL"
_INDEXES = (
    ("ix_deliveries_error", "deliveries", ["last_error", "id"], "last_error IS NOT NULL"),
    (
        "ix_deliveries_partner_error",
        "deliveries",
        ["partner_id", "last_error", "id"],
        "last_error IS NOT NULL",
    ),
    ("ix_deliveries_dead_error", "deliveries", ["last_error", "ended_ms", "id"], _DEAD),
    ("ix_deliveries_dead_type", "deliveries", ["task_type", "ended_ms", "id"], _DEAD),
    (
        "ix_deliveries_dead_alike",
        "deliveries",
        ["partner_id", "endpoint_id", "last_error", "task_type", "dead_reason", "ended_ms"],
        _DEAD,
    ),
    ("ix_task_bodies_error", "task_bodies", ["error_code", "task_id"], "error_code IS NOT NULL"),
)


def upgrade() -> None:
    """Add the indexes; those of deliveries hold what has failed, or is dead."""
    for name, table, columns, where in _INDEXES:
        condition = sa.text(where)
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    """Drop them."""
    for name, table, _, _ in reversed(_INDEXES):
        op.drop_index(name, table)
