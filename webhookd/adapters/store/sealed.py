"""Which columns hold sealed text, and which encryption keys sealed it."""

from sqlalchemy import Connection, func, select

from webhookd.adapters.store.schema import endpoints, secrets

_SEALED = (secrets.c.sealed, endpoints.c.headers_sealed)
# A sealed text begins with `v1.` and the eight hex digits of its key's id (`adapters.vault`).
_KEY_ID_AT, _KEY_ID_LENGTH = 4, 8


def sealed_key_ids(conn: Connection) -> set[str]:
    """Return the ids of all keys in use."""
    found: set[str] = set()
    for column in _SEALED:
        used = func.substr(column, _KEY_ID_AT, _KEY_ID_LENGTH)
        found |= {row[0] for row in conn.execute(select(used).where(column.is_not(None)).distinct())}
    return found
