"""A task takes less on disk: its result is kept once, bodies are kept abbreviated, and in fewer indexes.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

from webhookd.core.abbreviation import restored

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_ROWS_A_STEP = 1_000
_LONE = sa.text("task_id IS NULL")
_ADDRESSED = sa.text("endpoint_id IS NOT NULL")
_PLACE = ("result_at", "result_length")
_TAG = ("tag", "partner_id", "task_id")
_KEPT = sa.text("SELECT id, task_id, kept_body FROM messages WHERE id > :after ORDER BY id LIMIT :most")
_WHOLE = sa.text("UPDATE messages SET kept_body = :body WHERE id = :id")


def upgrade() -> None:
    """Change the indexes and name the column anew, so that no earlier release sends what is abbreviated.

    What is there stays as it is: it abbreviates nothing, and has its result in its task's body. New indexes
    come first, because what is dropped or altered locks out readers until the end.
    """
    op.create_index(
        "ix_deliveries_message", "deliveries", ["message_id"], sqlite_where=_LONE, postgresql_where=_LONE
    )
    op.create_index(
        "ix_deliveries_to_endpoint",
        "deliveries",
        ["endpoint_id", "id"],
        sqlite_where=_ADDRESSED,
        postgresql_where=_ADDRESSED,
    )
    op.drop_index("ix_deliveries_message_id", "deliveries")
    op.drop_index("ix_deliveries_endpoint", "deliveries")
    for name in _PLACE:
        op.add_column("messages", sa.Column(name, sa.Integer))
    op.execute("ALTER TABLE messages RENAME COLUMN body TO kept_body")
    _make_tags_anew(with_rowid=False)


def _make_tags_anew(*, with_rowid: bool) -> None:
    """Make the table of digests anew on SQLite, where a row with a number of its own is there twice."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.create_table(
        "new_task_tags",
        *(sa.Column(name, sa.Text, nullable=False) for name in _TAG),
        sa.PrimaryKeyConstraint(*_TAG, name="pk_task_tags"),
        sqlite_with_rowid=with_rowid,
    )
    op.execute("INSERT INTO new_task_tags SELECT tag, partner_id, task_id FROM task_tags ORDER BY 1, 2, 3")
    op.drop_table("task_tags")
    op.rename_table("new_task_tags", "task_tags")


def downgrade() -> None:
    """Write results and bodies out in full, and let all stand in the indexes."""
    _make_tags_anew(with_rowid=True)
    conn = op.get_bind()
    op.execute(
        "UPDATE task_bodies SET result = (SELECT substr(m.kept_body, m.result_at + 1, m.result_length) "
        "FROM messages m WHERE m.task_id = task_bodies.task_id AND m.result_at IS NOT NULL) "
        "WHERE result IS NULL"
    )
    after = ""
    while rows := conn.execute(_KEPT, {"after": after, "most": _ROWS_A_STEP}).all():
        whole = [
            {"id": message_id, "body": restored(kept, message_id=message_id, task_id=task_id)}
            for message_id, task_id, kept in rows
        ]
        conn.execute(_WHOLE, whole)
        after = rows[-1][0]
    op.execute("ALTER TABLE messages RENAME COLUMN kept_body TO body")
    for name in _PLACE:
        op.drop_column("messages", name)
    op.create_index("ix_deliveries_endpoint", "deliveries", ["endpoint_id", "id"])
    op.create_index("ix_deliveries_message_id", "deliveries", ["message_id"])
    op.drop_index("ix_deliveries_to_endpoint", "deliveries")
    op.drop_index("ix_deliveries_message", "deliveries")
