"""The keys a new installation starts with: its first admin key, and the partner of `up --dev`.

Written straight to the store, because there is no key yet to ask the API with.
"""

import hmac
import json
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.store.access import api_keys, audit
from webhookd.adapters.store.access.page_sessions import PageSession, SessionKind, add_page_session, hashed
from webhookd.adapters.store.access.partners import add_partner, find_partner
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.vault import Vault
from webhookd.api.caller import OPERATOR
from webhookd.cli.data_dir import write_private
from webhookd.core import ids
from webhookd.core.api_keys import (
    ADMIN_PREFIX,
    FIRST_ADMIN_KEY,
    PARTNER_PREFIX,
    NewKey,
    first_key_name,
    operator_mark,
    parse,
)
from webhookd.core.model import USUAL_SCOPES
from webhookd.core.records import ApiKey, Bounds, Limits, Partner

DEV_FILE: Final = "dev.json"
DEV_PARTNER: Final = "dev"
DEV_LINK_MS: Final = 3_600_000

_SCHEME: Final = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevPartner:
    """The partner of `up --dev`, as DEV_FILE keeps it."""

    id: str
    key: str = field(repr=False)
    secret: str = field(repr=False)


async def first_admin_key(store: Store) -> str | None:
    """Make an admin key where there is no good one. Return its text, which is kept nowhere."""

    def make(tx: Tx, now_ms: int) -> str | None:
        keys, _ = api_keys.read_keys(tx, None, Bounds(limit=500))
        if any(key.revoked_ms is None and (key.expires_ms or now_ms + 1) > now_ms for key in keys):
            return None
        made = _add_key(tx, ADMIN_PREFIX, None, FIRST_ADMIN_KEY, now_ms)
        audit.add(tx, actor=_actor(), action="key.create", target=made.id, partner_id=None, now_ms=now_ms)
        return made.text

    return await store.write(make, store.clock.now_ms())


async def dev_link(store: Store, admin_key_hash: bytes | None) -> str | None:
    """Make a link that logs an admin in once, within an hour; return its token, None where no key is good."""
    token = entropy.new_page_token()

    def make(tx: Tx, now_ms: int) -> str | None:
        key_id = OPERATOR
        if admin_key_hash is None:
            keys, _ = api_keys.read_keys(tx, None, Bounds(limit=500))
            good = [one.id for one in keys if api_keys.Credential(key=one, partner=None).is_good(now_ms)]
            if not good:
                return None
            key_id = good[0]
        link = PageSession(
            id=hashed(token),
            kind=SessionKind.LINK,
            key_id=key_id,
            key_mark=operator_mark(admin_key_hash),
            partner_id=None,
            created_ms=now_ms,
            expires_ms=now_ms + DEV_LINK_MS,
        )
        add_page_session(tx, link)
        return token

    return await store.write(make, store.clock.now_ms())


async def dev_partner(store: Store, vault: Vault, folder: Path) -> DevPartner:
    """Return the partner `dev`, made at the first call and kept in the data dir (0600)."""
    file = folder / DEV_FILE
    kept = _read(file)
    now_ms = store.clock.now_ms()
    if kept is not None and await store.read(_is_good, kept, now_ms):
        return kept
    made = await store.write(_make_dev, vault, now_ms)
    write_private(file, json.dumps(asdict(made)) + "\n")
    return made


def _make_dev(tx: Tx, vault: Vault, now_ms: int) -> DevPartner:
    """Make the partner, or, where only DEV_FILE is gone, a new key for it."""
    known = find_partner(tx, DEV_PARTNER)
    partner_id = None if known is None else known.id
    if partner_id is None:
        partner_id = entropy.new_id(ids.PARTNER, now_ms)
        partner = Partner(
            id=partner_id, name=DEV_PARTNER, weight=1, limits=Limits(), suspended=False, created_ms=now_ms
        )
        add_partner(tx, partner)
        secret = entropy.new_signing_secret(_SCHEME)
        sealed = vault.seal(secret.encode(), partner=partner_id, endpoint=None, field=secrets.SECRET_FIELD)
        secrets.add(tx, partner_id, None, scheme=_SCHEME, sealed=sealed, created_ms=now_ms)
    newest = secrets.live(tx, partner_id, [None], now_ms=now_ms)[0]
    opened = vault.open(newest.sealed, partner=partner_id, endpoint=None, field=secrets.SECRET_FIELD)
    key = _add_key(tx, PARTNER_PREFIX, partner_id, first_key_name(DEV_PARTNER), now_ms)
    audit.add(
        tx, actor=_actor(), action="partner.dev", target=partner_id, partner_id=partner_id, now_ms=now_ms
    )
    return DevPartner(id=partner_id, key=key.text, secret=opened.decode())


def _actor() -> str:
    return f"{OPERATOR}@{socket.gethostname()}"


def _add_key(tx: Tx, prefix: str, partner_id: str | None, name: str, now_ms: int) -> NewKey:
    key = entropy.new_api_key(prefix, now_ms)
    api_keys.add_key(
        tx,
        ApiKey(
            id=key.id,
            partner_id=partner_id,
            name=name,
            scopes=USUAL_SCOPES,
            secret_hash=key.hash,
            created_ms=now_ms,
            expires_ms=None,
            revoked_ms=None,
        ),
    )
    return key


def _read(file: Path) -> DevPartner | None:
    try:
        return DevPartner(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_good(tx: Tx, kept: DevPartner, now_ms: int) -> bool:
    presented = parse(kept.key)
    key = None if presented is None else api_keys.read_key(tx, presented.id)
    return (
        key is not None
        and presented is not None
        and hmac.compare_digest(presented.hash, key.secret_hash)
        and key.revoked_ms is None
        and (key.expires_ms or now_ms + 1) > now_ms
    )
