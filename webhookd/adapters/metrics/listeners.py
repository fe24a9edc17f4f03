"""How facts become counts: one small function a fact, some microseconds each."""

from collections.abc import Callable
from typing import Final

from webhookd.adapters.metrics.tally import Tally
from webhookd.core.facts import AddressesRefused, AttemptEnded, RequestFacts, RunEnded

NO_ROUTE: Final = "none"
SUBMISSIONS: Final = frozenset({"/v1/tasks", "/v1/tasks/batch"})
REFUSALS: Final = frozenset({"rate_limited", "quota_exceeded", "overloaded", "unavailable"})
# A method nobody knows is the caller's invention, and would make a series of each.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"})
_ENDS: Final = frozenset({"delivered", "dead"})


def count_request(tally: Tally) -> Callable[[RequestFacts], None]:
    """Return the listener to requests."""

    def listen(facts: RequestFacts) -> None:
        method = facts.method if facts.method in _METHODS else "other"
        route = facts.route or NO_ROUTE
        tally.count("webhookd_http_requests_total", method, route, str(facts.status))
        tally.observe(
            "webhookd_http_request_duration_seconds",
            method,
            route,
            microseconds=int(facts.duration_ms * 1000),
        )
        if facts.error_code in REFUSALS and method == "POST" and route in SUBMISSIONS:
            tally.count("webhookd_admission_refusals_total", facts.error_code or "")

    return listen


def count_run(tally: Tally) -> Callable[[RunEnded], None]:
    """Return the listener to runs."""

    def listen(fact: RunEnded) -> None:
        tally.count("webhookd_runs_total", fact.type, fact.outcome)
        tally.observe("webhookd_run_duration_seconds", fact.type, microseconds=fact.run_ms * 1000)
        tally.observe("webhookd_run_wait_seconds", fact.type, microseconds=max(0, fact.wait_ms) * 1000)

    return listen


def count_attempt(tally: Tally) -> Callable[[AttemptEnded], None]:
    """Return the listener to attempts."""

    def listen(fact: AttemptEnded) -> None:
        tally.count("webhookd_attempts_total", attempt_outcome(fact))
        tally.observe("webhookd_attempt_duration_seconds", microseconds=fact.duration_us)
        if fact.verdict in _ENDS:
            tally.count("webhookd_deliveries_ended_total", fact.verdict)
        if fact.verdict == "delivered":
            tally.observe("webhookd_delivery_latency_seconds", microseconds=fact.since_message_ms * 1000)

    return listen


def count_refused_addresses(tally: Tally) -> Callable[[AddressesRefused], None]:
    """Return the listener to security events."""

    def listen(event: AddressesRefused) -> None:
        tally.count("webhookd_security_events_total", "mixed" if event.dialled else "blocked")

    return listen


def attempt_outcome(fact: AttemptEnded) -> str:
    """Return what an attempt is counted as: `delivered`, `http_5xx`, `timeout`, …, `lost`."""
    if fact.verdict == "lost":
        return "lost"
    if fact.error is None:
        return "delivered"
    answered = fact.status is not None and fact.error == f"http_{fact.status}"
    return f"http_{fact.error[5]}xx" if answered else fact.error
