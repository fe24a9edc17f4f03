"""One request as a handler sees it: who calls, what was asked, and the few moves every handler needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from starlette.types import Receive

from webhookd.adapters.store.access import audit
from webhookd.adapters.store.access.idempotency import KeyedRequest
from webhookd.adapters.store.drivers.reading import until_reads_end
from webhookd.adapters.store.tx import Tx
from webhookd.api.answers import Answer
from webhookd.api.caller import OPERATOR, Caller
from webhookd.api.idempotency_key import fingerprint, freeze, thaw
from webhookd.api.parts import ApiParts
from webhookd.api.wire import unknown_or_wrong
from webhookd.core.errors import NotFound
from webhookd.core.records import Partner, Task
from webhookd.core.trace import TraceContext

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")
P = ParamSpec("P")

ADMIN_OWNER: Final = "admin"
"""Whose `Idempotency-Key`s and turns an admin's are; no partner's id looks like it."""
READ_PATIENCE_SECONDS: Final = 5.0
"""How long a read stands in its partner's line before it is told to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[B, Q]):
    """A request that was let in and is well-formed. `json` is the parsed body, None where it was empty.

    `receive` tells a handler that holds the request when the client has gone. `trace` is the request's place
    in its trace; `links` takes places in other traces that the call puts something in motion at. `address` is
    the caller's, None where there is none (a unix socket). `only_looks`: it is a HEAD.
    """

    parts: ApiParts
    caller: Caller
    method: str
    scheme: str
    path: str
    route: str
    path_params: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: Q
    body: B
    json: Any
    key: str | None
    trace: TraceContext
    links: list[TraceContext]
    now_ms: int
    receive: Receive
    address: str | None = None
    only_looks: bool = False

    def header(self, name: bytes) -> str | None:
        """Return a request header (`name` in lower case); of repeated ones the values joined by commas."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def located(self, path: str) -> dict[str, str]:
        """Return the header that tells where something is, as the world sees it."""
        return {"Location": f"{self.parts.options.base_url}{path}"}

    async def narrowed(self, named: str | None, *, place: str = "query", at: str = "partner") -> str | None:
        """Return the partner a listing is confined to: the caller's own, or the one an admin named.

        `named` is its id or name. Raises Invalid where a partner names any, or there is no such partner.
        """
        if named is None:
            return self.caller.partner_id
        if not self.caller.is_admin:
            raise unknown_or_wrong(place, at, "is not known here")
        partner = await self.parts.store.partners.find(named)
        if partner is None:
            raise unknown_or_wrong(place, at, "there is no such partner")
        return partner.id

    async def once_for_keys(self, effect: Callable[[Tx], Answer]) -> Answer:
        """Do as `once` what changes keys or what they may; from then on this process goes by it."""
        try:
            return await self.once(effect)
        finally:
            self.parts.access.changes += 1

    async def acting_partner(self, named: str | None, *, place: str = "body") -> Partner:
        """Return the partner something is made for: the caller, or the one an admin names in the body.

        Raises Invalid (path `$.partner`) where an admin names none or an unknown one, or a partner any.
        """
        if self.caller.partner is not None:
            if named is not None:
                raise unknown_or_wrong(place, "partner", "is not known here")
            return self.caller.partner
        if named is None:
            raise unknown_or_wrong(place, "partner", "is required with an admin's key")
        partner = await self.parts.store.partners.find(named)
        if partner is None:
            raise unknown_or_wrong(place, "partner", "there is no such partner")
        return partner

    async def named(self, get: Callable[[Tx, str, str | None], T | None], noun: str) -> T:
        """Return what the path names by its id. Raises NotFound where it is unknown, or not the caller's."""
        return found(await self.read(get, self.path_params["id"], self.caller.partner_id), noun)

    async def read(self, work: Callable[Concatenate[Tx, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(tx, *args)` when it is this caller's turn. Raises RateLimited, and as `Database.read`.

        The turn lasts until the database is done with it, though the caller may have gone before.
        """
        turns, owner = self.parts.reads, self.caller.partner_id or ADMIN_OWNER
        await turns.take(owner, patience_seconds=READ_PATIENCE_SECONDS)
        with until_reads_end(lambda: turns.give_back(owner)):
            self.parts.unread.refuse_slow(owner)
            return await self.parts.store.read(work, *args, **kwargs)

    def submission_trace(self) -> TraceContext:
        """Return the place in the trace that tasks of this call are below."""
        new_span_id = self.parts.new_span_id
        return self.trace if new_span_id is None else self.trace.child(new_span_id())

    def link(self, task: Task) -> None:
        """Note that the call put a task of an earlier trace in motion, or only found it there."""
        self.links.append(task.trace)

    def task_key(self) -> str | None:
        """Return the Idempotency-Key as the intake keeps it: under the task's partner, admins' apart."""
        if self.key is None or not self.caller.is_admin:
            return self.key
        return f"{ADMIN_OWNER}\n{self.key}"  # no header has a line feed, so no partner's key looks like it

    async def once(self, effect: Callable[[Tx], Answer], *, hands_on: bool = False) -> Answer:
        """Run `effect` in one transaction, unless this Idempotency-Key has run before: then answer as then.

        `effect` runs outside the event loop; it does the writes on the connection given and returns the
        answer. What it raises rolls everything back, the key too. A replay answers with the header
        `Idempotency-Replayed`. `hands_on`: who has the answer may do what this caller's key may, so that the
        same from another key of the partner is another request.
        """
        request = None
        if self.key is not None:
            request = KeyedRequest(
                owner=self.caller.partner_id or ADMIN_OWNER,
                key=self.key,
                fingerprint=fingerprint(
                    self.method, self.path, [self.caller.key_id, self.json] if hands_on else self.json
                ),
                now_ms=self.now_ms,
            )
        kept = await self.parts.store.idempotency.once(request, lambda tx: freeze(effect(tx)))
        return thaw(kept.answer, replayed=kept.replayed)

    @property
    def actor(self) -> str:
        """Who calls, as the audit log names it: the key's name, its id where it has none, `operator@host`."""
        if self.caller.key_id == OPERATOR:
            return f"{OPERATOR}@{self.parts.options.operator_host or self.address or 'unknown'}"
        return self.caller.key_name or self.caller.key_id

    def audit(
        self,
        tx: Tx,
        action: str,
        target: str,
        *,
        partner_id: str | None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Add an entry to the audit log in the transaction of `tx`. No secrets, no URLs in `detail`.

        A `reason` in `detail` is shown as why it was done.
        """
        if self.caller.via:
            detail = {**(detail or {}), "via": self.caller.via}
        audit.add(
            tx,
            actor=self.actor,
            key_id=None if self.caller.key_id == OPERATOR else self.caller.key_id,
            address=None if self.parts.options.operator_host else self.address,
            action=action,
            target=target,
            partner_id=partner_id,
            now_ms=self.now_ms,
            detail=detail,
        )


AnyCall = Call[Any, Any]


def found(thing: T | None, what: str) -> T:
    """Return `thing`. Raises NotFound where it is None."""
    if thing is None:
        raise NotFound(f"There is no such {what}.")
    return thing
