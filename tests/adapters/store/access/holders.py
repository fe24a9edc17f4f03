"""Partners with limits, and keys of them and of admins."""

from tests.support.seeds import NOW
from webhookd.adapters.entropy import new_api_key, new_id
from webhookd.adapters.store.access import partners
from webhookd.adapters.store.store import Store
from webhookd.core import ids
from webhookd.core.records import ApiKey, Limits, Partner


def partner_named(name: str, at_ms: int = NOW) -> Partner:
    return Partner(
        id=new_id(ids.PARTNER, at_ms),
        name=name,
        weight=2,
        limits=Limits(rate_per_second=1.5, burst=None, max_queued=7),
        suspended=False,
        created_ms=at_ms,
        task_types=("report.*", "demo.echo"),
    )


async def added(store: Store, name: str = "acme", at_ms: int = NOW) -> Partner:
    partner = partner_named(name, at_ms)
    await store.db.write(partners.add_partner, partner)
    return partner


def key_of(partner_id: str | None, at_ms: int = NOW) -> ApiKey:
    made = new_api_key("whk", at_ms)
    return ApiKey(
        id=made.id,
        partner_id=partner_id,
        name="n",
        scopes=("tasks:read",),
        secret_hash=made.hash,
        created_ms=at_ms,
        expires_ms=None,
        revoked_ms=None,
    )
