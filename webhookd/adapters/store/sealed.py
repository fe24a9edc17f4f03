"""Which columns hold sealed text, and which encryption keys sealed it."""

from sqlalchemy import Connection, func, select

from webhookd.adapters.store.schema import endpoints, secrets
from webhookd.adapters.vault import key_id

_SEALED = (secrets.c.sealed, endpoints.c.headers_sealed)
_KEY_ID_END = 11
"""A sealed text begins `v1.<8 hex digits of the key id>.`"""


def sealed_key_ids(conn: Connection) -> set[str]:
    """Return the ids of all keys in use."""
    found: set[str] = set()
    for column in _SEALED:
        starts = select(func.substr(column, 1, _KEY_ID_END + 1)).where(column.is_not(None)).distinct()
        found |= {key_id(row[0]) for row in conn.execute(starts)}
    return found
