"""One attempt after its answer: what is written of it, and the fact that is told of it."""

from webhookd.core.delivery import Delivered, GiveUp, NotCounted, RetryAt, error_code, judge
from webhookd.core.dispatch import AttemptDone, DueDelivery
from webhookd.core.facts import AttemptEnded
from webhookd.core.pacing import outcome_of
from webhookd.core.records import Attempt
from webhookd.core.reply import Reply
from webhookd.core.retry import ENDPOINT_FLOOR_SECONDS, RetryPolicy

_VERDICTS = {Delivered: "delivered", RetryAt: "retry", GiveUp: "dead", NotCounted: "not_counted"}


def attempt_done(
    delivery: DueDelivery,
    session_id: str,
    answer: Reply,
    *,
    policy: RetryPolicy,
    chance: float,
    now_ms: int,
) -> AttemptDone:
    """Judge an answer. `policy` is the default, the endpoint's own numbers go before it."""
    retry = delivery.target.retry
    if (retry.base_seconds, retry.factor, retry.cap_seconds) != (None, None, None):
        policy = RetryPolicy(
            max_attempts=delivery.max_attempts,
            base_seconds=_floored(retry.base_seconds) or policy.base_seconds,
            factor=retry.factor or policy.factor,
            cap_seconds=_floored(retry.cap_seconds) or policy.cap_seconds,
        )
    verdict = judge(
        answer,
        attempt=delivery.attempts_in_budget,
        max_attempts=delivery.max_attempts,
        policy=policy,
        now_ms=now_ms,
        chance=chance,
        inline=delivery.target.endpoint_id is None,
    )
    timing = answer.timing
    attempt = Attempt(
        delivery_id=delivery.id,
        number=delivery.attempt,
        at_ms=now_ms - timing.total_us // 1000,
        duration_us=timing.total_us,
        dns_us=timing.dns_us,
        connect_us=timing.connect_us,
        tls_us=timing.tls_us,
        first_byte_us=timing.first_byte_us,
        status=answer.status,
        error=error_code(answer),
        headers=answer.headers,
        excerpt=answer.excerpt.decode("utf-8", "replace").replace("\0", "\ufffd"),
        resent=answer.resent,
    )
    return AttemptDone(
        delivery=delivery,
        session_id=session_id,
        attempt=attempt,
        verdict=verdict,
        outcome=outcome_of(answer, now_ms=now_ms),
        now_ms=now_ms,
    )


def _floored(seconds: float | None) -> float | None:
    """Endpoints of an earlier release may ask for pauses below the floor."""
    return None if seconds is None else max(ENDPOINT_FLOOR_SECONDS, seconds)


def attempt_ended(done: AttemptDone, span_id: str, *, lost: bool) -> AttemptEnded:
    """Return the fact; `lost` where others had taken the delivery over."""
    return AttemptEnded(
        delivery_id=done.delivery.id,
        message_id=done.delivery.message_id,
        endpoint_id=done.delivery.target.endpoint_id,
        number=done.attempt.number,
        status=done.attempt.status,
        error=done.attempt.error,
        resent=done.attempt.resent,
        verdict="lost" if lost else _VERDICTS[type(done.verdict)],
        duration_us=done.attempt.duration_us,
        since_message_ms=done.now_ms - done.delivery.created_ms,
        trace_id=done.delivery.trace.trace_id,
        event=done.delivery.event,
        task_id=done.delivery.task_id,
        partner_id=done.delivery.target.partner_id,
        url=(done.delivery.url or done.delivery.target.url or "").partition("?")[0],
        at_ms=done.attempt.at_ms,
        span_id=span_id,
        parent_span_id=done.delivery.trace.parent_id,
        trace_flags=done.delivery.trace.flags,
        trace_state=done.delivery.trace.state,
    )
