"""The wide log lines: one a run, one an attempt, and a warning for a host that leads where it may not.

Facts hold nothing that may not be shown. Each function returns a listener on a logger that is bound once:
looking the logger up anew for each line would cost as much as writing it.
"""

from collections.abc import Callable

import structlog

from webhookd.core.facts import AddressesRefused, AttemptEnded, RequestFacts, RunEnded


def log_request() -> Callable[[RequestFacts], None]:
    """Return the listener to requests. No path, query, address or key in it: only the template."""
    write = structlog.get_logger(__name__).bind().info

    def listen(facts: RequestFacts) -> None:
        write(
            "request",
            method=facts.method,
            route=facts.route,
            status=facts.status,
            ms=facts.duration_ms,
            actor=facts.actor,
            trace_id=facts.trace_id,
            code=facts.error_code,
        )

    return listen


def log_run() -> Callable[[RunEnded], None]:
    """Return the listener to runs."""
    write = structlog.get_logger(__name__).bind().info

    def listen(fact: RunEnded) -> None:
        write(
            "run",
            task=fact.task_id,
            type=fact.type,
            attempt=fact.attempt,
            outcome=fact.outcome,
            error=fact.error,
            wait_ms=fact.wait_ms,
            run_ms=fact.run_ms,
            trace_id=fact.trace_id,
        )

    return listen


def log_attempt() -> Callable[[AttemptEnded], None]:
    """Return the listener to attempts."""
    write = structlog.get_logger(__name__).bind().info

    def listen(fact: AttemptEnded) -> None:
        write(
            "attempt",
            delivery=fact.delivery_id,
            message=fact.message_id,
            endpoint=fact.endpoint_id,
            number=fact.number,
            status=fact.status,
            error=fact.error,
            resent=fact.resent,
            verdict=fact.verdict,
            ms=fact.duration_us // 1000,
            since_message_ms=fact.since_message_ms,
            trace_id=fact.trace_id,
        )

    return listen


def log_refused_addresses() -> Callable[[AddressesRefused], None]:
    """Return the listener to security events. For operators alone: partners are told `blocked`, no more."""
    write = structlog.get_logger(__name__).bind().warning

    def listen(event: AddressesRefused) -> None:
        write(
            "addresses_refused",
            host=event.host,
            port=event.port,
            refused=",".join(event.refused),
            dialled=",".join(event.dialled),
        )

    return listen
