"""The outermost layer: trace in and out, errors into problems, and the facts of each request to listeners.

One plain ASGI callable around Starlette's router, because a stack of middlewares costs more than the
whole of a submission's parsing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhookd.adapters import entropy
from webhookd.api.answers import Headers, unstored
from webhookd.api.caller import Caller
from webhookd.api.cors import cors_headers
from webhookd.api.parts import Leaving, Listener
from webhookd.api.problems import problem_answer, public
from webhookd.core import trace
from webhookd.core.errors import ServiceError, WebhookdError
from webhookd.core.facts import RequestFacts
from webhookd.core.records import Partner
from webhookd.core.trace import TraceContext

_log = structlog.get_logger(__name__)

SCOPE_KEY: Final = "webhookd.context"
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
NOBODY_LISTENS: Final = 499
"""The status in logs of a request whose client went away first (nginx's convention); never sent."""


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """What the layers tell each other about one request. `more_headers` go onto any answer.

    `trace` is this request's own place, and `caller_span_id` what is above it (empty: nothing); `route`,
    `path` and `links` as in RequestFacts. `keyed`: a key was asked for, so that no cache may keep the answer.
    `caller` is who was let in already (`inside`), so that no key is asked for.
    """

    trace: TraceContext
    caller_span_id: str
    headers: dict[bytes, bytes]
    caller: Caller | None = None
    route: str | None = None
    path: str | None = None
    links: list[TraceContext] = field(default_factory=list)
    actor: str | None = None
    partner: Partner | None = None
    more_headers: Headers = field(default_factory=list)
    keyed: bool = False
    status: int | None = None
    error_code: str | None = None


def context_of(scope: Scope) -> RequestContext:
    """Return what the layers know of the request."""
    context: RequestContext = scope[SCOPE_KEY]
    return context


class Edge:
    """Wraps the router."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        listeners: Sequence[Listener],
        new_trace: Callable[[], TraceContext] = entropy.new_trace,
        leaving: Leaving,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._listeners = tuple(listeners)
        self._new_trace = new_trace
        self._leaving = leaving
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = joined_headers(scope)
        caller = brought_trace(headers)
        context = RequestContext(
            trace=self._new_trace() if caller is None else caller.child(entropy.new_span_id()),
            caller_span_id="" if caller is None else caller.parent_id,
            headers=headers,
        )
        context.more_headers += [NOSNIFF, (b"traceparent", context.trace.header().encode())]
        if self._origins:
            context.more_headers += cors_headers(self._origins, scope["method"], headers)
        if self._leaving.begun:  # so that no proxy keeps a connection that is soon to close
            context.more_headers.append((b"connection", b"close"))
        scope[SCOPE_KEY] = context

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            context.status = context.status or NOBODY_LISTENS
        except Exception as error:  # noqa: BLE001 - the one place where anything becomes an answer
            await self._answer_error(error, context, scope, watched_send)
        finally:
            facts = RequestFacts(
                method=scope["method"],
                route=context.route,
                status=context.status or NOBODY_LISTENS,
                duration_ms=round((perf_counter() - started) * 1000, 2),
                actor=context.actor,
                trace_id=context.trace.trace_id,
                error_code=context.error_code,
                path=context.path,
                span_id=context.trace.parent_id,
                parent_span_id=context.caller_span_id,
                trace_flags=context.trace.flags,
                trace_state=context.trace.state,
                links=tuple(context.links),
            )
            for listener in self._listeners:
                listener(facts)

    async def _answer_error(
        self, error: Exception, context: RequestContext, scope: Scope, send: Send
    ) -> None:
        trace_id = context.trace.trace_id
        context.error_code = public(error).code
        if not isinstance(error, WebhookdError) or (error.status == 500 and isinstance(error, ServiceError)):
            _log.error("request_failed", trace_id=trace_id, route=context.route, exc_info=error)
        if context.status is not None:
            # The response has begun; cutting the connection is the only honest end.
            raise error
        answer = problem_answer(error, trace_id=trace_id)
        if context.keyed:
            answer = unstored(answer)
        await answer.send_to(send, more_headers=context.more_headers, head=scope["method"] == "HEAD")


def joined_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name; repeated ones joined by commas (RFC 9110 section 5.2)."""
    pairs = scope["headers"]
    headers: dict[bytes, bytes] = dict(pairs)
    if len(headers) != len(pairs):
        values: dict[bytes, list[bytes]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return {name: b", ".join(several) for name, several in values.items()}
    return headers


def brought_trace(headers: dict[bytes, bytes]) -> TraceContext | None:
    """Return the caller's place in its trace; None where it brought none, or no valid one."""
    brought = headers.get(b"traceparent")
    if brought is None:
        return None
    state = headers.get(b"tracestate", b"").decode("latin-1")
    return trace.parse(brought.decode("latin-1"), state)
