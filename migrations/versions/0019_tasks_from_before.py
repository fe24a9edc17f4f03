"""Tasks that were submitted before revision 0016 are found by their metadata and their Idempotency-Key too.

Revision ID: 0019
Revises: 0018
"""

import orjson
import sqlalchemy as sa
from alembic import op

from webhookd.core.metadata import metadata_tags

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_ROWS_A_STEP = 1_000

_BODIES = sa.text(
    "SELECT b.task_id, t.partner_id, b.metadata FROM task_bodies b JOIN tasks t ON t.id = b.task_id "
    "WHERE b.task_id > :after AND b.metadata <> '{}' ORDER BY b.task_id LIMIT :most"
)
_TAG = sa.text(
    "INSERT INTO task_tags (tag, partner_id, task_id) VALUES (:tag, :partner_id, :task_id) "
    "ON CONFLICT DO NOTHING"
)
_KEYS = sa.text(
    "SELECT partner_id, key, outcome FROM idempotency WHERE sealed_by IS NULL "
    "AND (partner_id, key) > (:partner_id, :key) ORDER BY partner_id, key LIMIT :most"
)
_KEY = sa.text(
    "UPDATE task_bodies SET idempotency_key = :key WHERE task_id = :task_id AND idempotency_key IS NULL"
)


def upgrade() -> None:
    """Write the digests and keys that are missing. A million tasks on SQLite: 35 s of a processor."""
    conn = op.get_bind()
    after = ""
    while rows := conn.execute(_BODIES, {"after": after, "most": _ROWS_A_STEP}).all():
        tags = [
            {"tag": tag, "partner_id": partner_id, "task_id": task_id}
            for task_id, partner_id, metadata in rows
            for tag in metadata_tags(metadata)
        ]
        if tags:
            conn.execute(_TAG, tags)
        after = rows[-1][0]
    partner_id = key = ""
    while rows := conn.execute(_KEYS, {"partner_id": partner_id, "key": key, "most": _ROWS_A_STEP}).all():
        keys = [
            {"key": key, "task_id": task_id}
            for _, key, outcome in rows
            for task_id in orjson.loads(outcome).get("tasks", ())
        ]
        if keys:
            conn.execute(_KEY, keys)
        partner_id, key, _ = rows[-1]


def downgrade() -> None:
    """Leave them: an earlier release writes the same."""
