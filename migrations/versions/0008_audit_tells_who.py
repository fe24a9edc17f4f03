"""The audit names the person, the key and the address, and is found by each filter's index.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEXED = {"partner": "partner_id", "actor": "actor", "action": "action", "target": "target"}


def upgrade() -> None:
    """Add key and address; where the actor was a key's id it is the key's name from now on."""
    op.add_column("audit", sa.Column("key_id", sa.Text))
    op.add_column("audit", sa.Column("address", sa.Text))
    op.execute("UPDATE audit SET key_id = actor WHERE substr(actor, 1, 4) = 'key_'")
    op.execute(
        "UPDATE audit SET actor = (SELECT name FROM api_keys WHERE api_keys.id = audit.key_id) "
        "WHERE key_id IN (SELECT id FROM api_keys WHERE name <> '')"
    )
    for name, column in _INDEXED.items():
        op.create_index(f"ix_audit_{name}", "audit", [column, "id"])


def downgrade() -> None:
    """Drop them; the actor is the key's id again."""
    for name in _INDEXED:
        op.drop_index(f"ix_audit_{name}", "audit")
    op.execute("UPDATE audit SET actor = key_id WHERE key_id IS NOT NULL")
    op.drop_column("audit", "address")
    op.drop_column("audit", "key_id")
