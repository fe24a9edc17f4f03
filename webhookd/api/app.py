"""The HTTP application: every noun's routes in one table, behind one edge."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from webhookd.api import (
    activity,
    admin_keys,
    audit,
    batch_watch,
    batches,
    dead_letter_summary,
    dead_letters,
    deliveries,
    discards,
    endpoint_retry,
    endpoint_stats,
    endpoint_trial,
    endpoints,
    events,
    files,
    health,
    keys,
    messages,
    metrics,
    partners,
    portal_links,
    queues,
    replays,
    runs,
    task_batch,
    task_input,
    task_rerun,
    task_types,
    tasks,
    timeline,
    tokens,
    workers,
)
from webhookd.api.api_route import AnyRoute
from webhookd.api.auth import Authenticator
from webhookd.api.description.page import file_routes
from webhookd.api.description.serving import routes as describing
from webhookd.api.edge import Edge
from webhookd.api.parts import ApiParts
from webhookd.api.problems import problem_before_the_edge
from webhookd.api.routes import starlette_routes
from webhookd.api.stream import stream_routes
from webhookd.core.errors import NotFound
from webhookd.core.page_tokens import KEY_PURPOSE, PageTokens

_NOUNS: Final[tuple[AnyRoute, ...]] = (
    *tasks.ROUTES,
    *task_batch.ROUTES,
    *task_rerun.ROUTES,
    *batches.ROUTES,
    *batch_watch.ROUTES,
    *task_types.ROUTES,
    *events.ROUTES,
    *task_input.ROUTES,
    *timeline.ROUTES,
    *runs.ROUTES,
    *files.ROUTES,
    *endpoints.ROUTES,
    *endpoint_trial.ROUTES,
    *endpoint_stats.ROUTES,
    *endpoint_retry.ROUTES,
    *deliveries.ROUTES,
    *dead_letters.ROUTES,
    *dead_letter_summary.ROUTES,
    *replays.ROUTES,
    *discards.ROUTES,
    *messages.ROUTES,
    *partners.ROUTES,
    *keys.ROUTES,
    *tokens.ROUTES,
    *admin_keys.ROUTES,
    *portal_links.ROUTES,
    *queues.ROUTES,
    *workers.ROUTES,
    *activity.ROUTES,
    *audit.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
)
ROUTES: Final[tuple[AnyRoute, ...]] = (*_NOUNS, *describing(_NOUNS))


def create_app(
    parts: ApiParts, *, authenticator: Authenticator | None = None, more: Sequence[BaseRoute] = ()
) -> ASGIApp:
    """Return the application on these parts.

    `more` are routes that are not rows: pages, static files; they share `authenticator`, from
    `make_authenticator`.
    """
    authenticator = authenticator or make_authenticator(parts)
    routes: list[BaseRoute] = [
        *starlette_routes(ROUTES, parts, authenticator),
        *stream_routes(parts, authenticator),
        *file_routes(),
        *more,
    ]
    return Edge(
        Router(routes, redirect_slashes=False, default=_nothing_here),
        listeners=parts.listeners,
        new_trace=parts.new_trace,
        leaving=parts.leaving,
        origins=parts.options.cors_origins,
    )


def make_authenticator(parts: ApiParts) -> Authenticator:
    """Return the authenticator of this process."""
    return Authenticator(
        parts.store.keys.find,
        admin_key_hash=parts.options.admin_key_hash,
        trusted_proxies=parts.options.trusted_proxies,
        now_ms=parts.now_ms,
        tokens=PageTokens(lambda: parts.vault.derived(KEY_PURPOSE)),
        find_partner=parts.store.partners.get,
        changes=lambda: parts.access.changes,
        used=parts.last_used.used,
    )


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
    error = NotFound("There is nothing at this path.")
    if scope["type"] != "websocket":
        raise error
    answer = problem_before_the_edge(error)
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers.append((b"content-type", answer.content_type.encode()))
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
