"""Sessions and links of the pages, on both databases."""

from dataclasses import replace

from tests.adapters.store.access.holders import added, key_of
from tests.support.seeds import NOW
from webhookd.adapters.store.access import api_keys
from webhookd.adapters.store.access.page_sessions import (
    PageSession,
    SessionKind,
    add_page_session,
    end_page_session,
    find_page_session,
    hashed,
)
from webhookd.adapters.store.store import Store


def session(key_id: str, name: str = "one", **changes: object) -> PageSession:
    made = PageSession(
        id=hashed(name),
        kind=SessionKind.SESSION,
        key_id=key_id,
        key_mark="",
        partner_id=None,
        created_ms=NOW,
        expires_ms=NOW + 1_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # its fields


async def test_session_comes_back_with_its_key_and_partner(store: Store) -> None:
    partner = await added(store)
    key = key_of(partner.id)
    await store.write(api_keys.add_key, key)
    one = session(key.id, partner_id=partner.id)
    await store.write(add_page_session, one)
    bearer = await store.read(find_page_session, one.id, SessionKind.SESSION, NOW)
    assert bearer is not None
    assert (bearer.session, bearer.partner) == (one, partner)
    assert bearer.credential is not None
    assert bearer.credential.key == key


async def test_session_is_none_after_its_end_and_none_of_another_kind(store: Store) -> None:
    one = session("operator")
    await store.write(add_page_session, one)
    assert await store.read(find_page_session, one.id, SessionKind.SESSION, NOW + 1_000) is None
    assert await store.read(find_page_session, one.id, SessionKind.LINK, NOW) is None
    assert await store.read(find_page_session, hashed("another"), SessionKind.SESSION, NOW) is None


async def test_link_is_used_up_by_the_first(store: Store) -> None:
    link = session("operator", kind=SessionKind.LINK)
    await store.write(add_page_session, link)
    assert [await store.write(end_page_session, link.id) for _ in range(2)] == [True, False]


async def test_new_session_removes_those_that_are_over(store: Store) -> None:
    await store.write(add_page_session, session("operator", "old"))
    await store.write(add_page_session, session("operator", "new", created_ms=NOW + 1_000))
    assert not await store.write(end_page_session, hashed("old"))
