"""When keys were last used, to a minute."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import or_, select

from webhookd.adapters.store.rowset import rowset
from webhookd.adapters.store.schema import api_keys
from webhookd.adapters.store.statement import Change, Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.api_keys import USE_EXACT_TO_MS


class _Used(NamedTuple):
    id: str
    used_ms: int


def _behind(dialect: str) -> Any:
    used = rowset(dialect, "used", _Used)
    kept = api_keys.c.last_used_ms
    return (
        select(used.c.id, used.c.used_ms)
        .join(api_keys, api_keys.c.id == used.c.id)
        .where(or_(kept.is_(None), kept <= used.c.used_ms - USE_EXACT_TO_MS))
        .with_for_update(of=api_keys, skip_locked=True, key_share=True)
    )


def _keep(dialect: str) -> Any:
    used = rowset(dialect, "used", _Used)
    return api_keys.update().where(api_keys.c.id == used.c.id).values(last_used_ms=used.c.used_ms)


_BEHIND: Final = Query(_Used, _behind)
_KEEP: Final = Change(_keep)


def keep_last_used(tx: Tx, used: Mapping[str, int]) -> None:
    """Write when keys, by their ids, were used, where what is known is a minute behind.

    A key that another process is writing at this moment is left to it.
    """
    behind = tx.run(_BEHIND, used=[_Used(*one) for one in used.items()])
    if behind:
        tx.run(_KEEP, used=behind)
