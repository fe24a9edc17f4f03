"""Files: inputs and results that are too big for JSON.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the column in which a task keeps what its function attached."""
    op.create_table(
        "files",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("upload_until_ms", sa.BigInteger),
    )
    op.create_index("ix_files_partner", "files", ["partner_id", "id"])
    op.create_index("ix_files_partner_kind", "files", ["partner_id", "kind", "id"])
    for name, column in (
        ("ix_files_task", "task_id"),
        ("ix_files_expiry", "expires_ms"),
        ("ix_files_awaited", "upload_until_ms"),
    ):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "files", [column], sqlite_where=known, postgresql_where=known)
    op.create_table(
        "file_uses",
        sa.Column("file_id", sa.Text, primary_key=True),
        sa.Column("task_id", sa.Text, primary_key=True),
    )
    op.create_index("ix_file_uses_task", "file_uses", ["task_id"])
    op.create_table(
        "file_usage",
        sa.Column("partner_id", sa.Text, primary_key=True),
        sa.Column("stored_files", sa.BigInteger, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
    )
    op.add_column("task_bodies", sa.Column("files", sa.Text))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("task_bodies", "files")
    for table in ("file_usage", "file_uses", "files"):
        op.drop_table(table)
