"""`webhookd migrate`: the database's schema."""

import asyncio

import typer

from webhookd.adapters.store.migrate import migrate as migrate_database
from webhookd.wiring.checked import checked_settings

app = typer.Typer(add_completion=False)


@app.command()
def migrate() -> None:
    """Bring the database at WEBHOOKD_DATABASE_URL to this release's schema; safe to run at any time."""
    before, after = asyncio.run(migrate_database(checked_settings().resolved_database_url))
    if before == after:
        print(f"The database is at revision {after} already.")
    else:
        print(f"Migrated from {before or 'an empty database'} to revision {after}.")
