"""The router: each noun lists its `ROUTES`, and here a row becomes something Starlette can serve.

The order of checks is the same everywhere: method, key, scope, rate, query, Idempotency-Key, body, handler.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from webhookd.api.answers import Answer, Sendable, unstored
from webhookd.api.api_route import ADMIN, ANY_KEY, OPEN, AnyRoute
from webhookd.api.auth import Authenticator
from webhookd.api.body import read_json
from webhookd.api.call import ADMIN_OWNER, Call
from webhookd.api.caller import Caller
from webhookd.api.client_address import Network, caller_address
from webhookd.api.edge import RequestContext, context_of
from webhookd.api.granted import require_granted
from webhookd.api.idempotency_key import HEADER, parse_key
from webhookd.api.parts import ApiParts
from webhookd.api.problems import WrongMethod
from webhookd.api.rate_headers import rate_headers
from webhookd.api.wire import parse_body, parse_query
from webhookd.core.errors import (
    Forbidden,
    Invalid,
    MalformedJson,
    NotFound,
    Unauthenticated,
    UrlNotAllowed,
)
from webhookd.core.ids import looks_like_id
from webhookd.core.page_tokens import PREFIX
from webhookd.flows.rates import RateKind

# Ids and names in paths. Anything else is unknown anyway, and need not trouble the database.
_PATH_VALUE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
NOBODY: Final = Caller(key_id="", partner=None, scopes=frozenset())
"""The caller of an OPEN route, or by a link; such a handler never looks at it."""


def starlette_routes(rows: Iterable[AnyRoute], parts: ApiParts, authenticator: Authenticator) -> list[Route]:
    """Return one Starlette route a path, fixed paths before those with parameters."""
    by_path: dict[str, list[AnyRoute]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    paths = sorted(by_path, key=lambda path: "{" in path)  # stable: otherwise in the order of the rows
    return [Route(path, Resource(path, by_path[path], parts, authenticator)) for path in paths]


class Resource:
    """One path with its methods, as an ASGI application."""

    def __init__(
        self, path: str, rows: Iterable[AnyRoute], parts: ApiParts, authenticator: Authenticator
    ) -> None:
        self._path = path
        self._rows: Mapping[str, AnyRoute] = {row.method: row for row in rows}
        self._parts = parts
        self._authenticator = authenticator
        methods = {*self._rows, "OPTIONS"} | ({"HEAD"} if "GET" in self._rows else set())
        self._allow = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        context.route = self._path
        try:
            reply = await self._reply(scope, receive, context)
            if context.keyed and isinstance(reply, Answer):
                reply = unstored(reply)
        except (MalformedJson, Invalid, UrlNotAllowed):
            if context.partner is not None and self._submits(scope["method"]):
                rates, now_ms = self._parts.submit.rates, self._parts.now_ms()
                await rates.take(RateKind.TASKS, context.partner, 1, now_ms=now_ms)
            raise
        finally:
            if context.partner is not None:
                rates = self._parts.submit.rates
                row = self._rows.get(scope["method"])
                takes = () if row is None else row.takes
                context.more_headers += rate_headers(rates, context.partner, takes, self._parts.now_ms())
        if context.keyed:
            owner = ADMIN_OWNER if context.partner is None else context.partner.id
            send = self._parts.unread.counted(send, owner)
        await reply.send_to(send, more_headers=context.more_headers, head=scope["method"] == "HEAD")

    def _submits(self, method: str) -> bool:
        row = self._rows.get(method)
        return row is not None and row.submits

    async def _reply(self, scope: Scope, receive: Receive, context: RequestContext) -> Sendable:
        method = scope["method"]
        row = self._rows.get("GET" if method == "HEAD" else method)
        if row is None:
            if method == "OPTIONS":
                return Answer(status=204, headers={"Allow": self._allow})
            raise WrongMethod(self._allow)
        parts = self._parts
        now_ms = parts.now_ms()
        caller = await self._let_in(row, scope, context)
        path_params = scope["path_params"]
        context.path = _shown(self._path, path_params)
        await self._check_path(row, caller, path_params)
        if caller.partner is not None and not row.submits:
            for bucket in row.takes:
                await parts.submit.meter(bucket, caller.partner, 1, now_ms=now_ms)
        query = parse_query(row.query, scope["query_string"])
        key = body = value = None
        if row.method == "POST" and HEADER in context.headers:
            key = parse_key([value for name, value in scope["headers"] if name == HEADER])
            if key is not None and caller.partner_id is not None:
                await parts.key_quota.use(caller.partner_id, key, now_ms=now_ms)
        if row.body is not None:
            if row.submits and caller.partner is not None:
                parts.submit.refuse_spent(caller.partner, now_ms)
            value = await read_json(
                receive,
                context.headers,
                max_bytes=row.max_bytes(parts.options),
                timeout_seconds=parts.options.body_timeout_seconds,
                may_be_empty=row.may_be_empty,
                parsing=parts.parsing,
                owner=caller.partner_id or ADMIN_OWNER,
            )
            body = parse_body(row.body, value)
        return await row.handler(
            Call(
                parts=parts,
                caller=caller,
                method=row.method,
                scheme=scope.get("scheme", "http"),
                path=scope["path"],
                route=self._path,
                path_params=path_params,
                headers=context.headers,
                query=query,
                body=body,
                json=value,
                key=key,
                trace=context.trace,
                links=context.links,
                now_ms=now_ms,
                receive=receive,
                address=_address(scope, context.headers, parts.options.trusted_proxies),
                only_looks=method == "HEAD",
            )
        )

    async def _check_path(self, row: AnyRoute, caller: Caller, path_params: Mapping[str, str]) -> None:
        if not all(_PATH_VALUE.fullmatch(value) for value in path_params.values()):
            raise NotFound("There is nothing at this path.")
        if caller.grant is not None:
            await require_granted(self._parts, caller.grant, row.token_reads, path_params)

    async def _let_in(self, row: AnyRoute, scope: Scope, context: RequestContext) -> Caller:
        token = _token(scope["query_string"]) if row.by_link or row.token_in_query else None
        of_page = token is not None and token.startswith(PREFIX)
        if row.access == OPEN or (row.by_link and token is not None and not of_page):
            return NOBODY
        context.keyed = True
        caller = context.caller
        if caller is None:
            client = scope.get("client")
            peer = client[0] if client else None
            if token is not None and not of_page:
                raise Unauthenticated("Only a page's token may stand in the query: send a key as a header.")
            if token is not None:
                caller = await self._authenticator.identify(token, context.headers, peer)
            else:
                caller = await self._authenticator.caller(context.headers, peer)
        context.actor = caller.partner_id or "admin"
        context.partner = caller.partner
        if row.access == ADMIN and not caller.is_admin:
            raise Forbidden("This call needs an admin's key.")
        if row.access not in (ADMIN, ANY_KEY) and not caller.may(row.access):
            raise Forbidden(f"The key lacks the scope {row.access}.")
        return caller


def _address(scope: Scope, headers: Mapping[bytes, bytes], trusted: Sequence[Network]) -> str | None:
    client = scope.get("client")
    found = caller_address(client[0] if client else None, headers, trusted)
    return None if found is None else str(found)


def _token(query: bytes) -> str | None:
    """Return `token` of a query; what is wrong with the whole is said later."""
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"token":
            return unquote(value.decode("latin-1"))
    return None


def _shown(path: str, path_params: Mapping[str, str]) -> str:
    """Return the path with ids of ours filled in. Whatever else a caller puts there may be a secret."""
    for name, value in path_params.items():
        if looks_like_id(value):
            path = path.replace(f"{{{name}}}", value)
    return path
