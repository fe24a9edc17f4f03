"""`partner` in what an admin is shown: whose a thing is. Partners see only their own, and no such field."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from webhookd.adapters.store.access.partners import partner_names
from webhookd.adapters.store.tx import Tx
from webhookd.api.call import AnyCall
from webhookd.core.render.owner import OwnerDocument


class Owned(Protocol):
    """Something that is a partner's."""

    @property
    def partner_id(self) -> str:
        """Whose it is."""
        ...


async def with_owners(
    call: AnyCall, things: Sequence[Owned], documents: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the documents of these things, to an admin with whose each is."""
    if not call.caller.is_admin or not things:
        return list(documents)
    names = await call.read(partner_names, {one.partner_id for one in things})
    return [
        {**document, "partner": owner(names, thing.partner_id)}
        for thing, document in zip(things, documents, strict=True)
    ]


async def with_owner(call: AnyCall, thing: Owned, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document of one thing, to an admin with whose it is."""
    return (await with_owners(call, [thing], [document]))[0]


def written_with_owner(call: AnyCall, tx: Tx, thing: Owned, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do the same in the transaction of a write."""
    if not call.caller.is_admin:
        return document
    return {**document, "partner": owner(partner_names(tx, {thing.partner_id}), thing.partner_id)}


def told_whose(body: bytes, whose: Mapping[str, Any]) -> bytes:
    """Return the JSON of a thing with what `whose` has besides: `{"partner": …}`, or nothing."""
    return body[:-1] + b"," + orjson.dumps(whose)[1:] if whose else body


def owner(names: Mapping[str, str], partner_id: str) -> OwnerDocument:
    """Return whose it is."""
    return {"id": partner_id, "name": names.get(partner_id, "")}
