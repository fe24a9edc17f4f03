"""Alembic's entry: runs the versions on the connection that `webhookd.adapters.store.migrate` hands over."""

from alembic import context

from webhookd.adapters.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter most things in place; Alembic rebuilds the table there.
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
