"""A store on SQLite and on a real PostgreSQL, in turn."""

from tests.support.stores import database, database_url, store, woken

__all__ = ["database", "database_url", "store", "woken"]
