"""Letting tasks in: rate, quota and load first, then the store.

A refusal for want of room is looked at twice: the figures may be some hundred milliseconds old, and a
key that was used before is answered as before, however full the house is now.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Final, Protocol

from webhookd.core.admission import Ceilings, Full, Shed, admit
from webhookd.core.errors import (
    IdempotencyMismatch,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    ServiceError,
    Unavailable,
)
from webhookd.core.facts import TasksSubmitted
from webhookd.core.records import LimitsInForce, Partner
from webhookd.core.submission import Accepted, KnownKey, Submission
from webhookd.flows.load import LoadGauge
from webhookd.flows.rates import PartnerRates, RateKind

Recall = Callable[[str, str, int], Awaitable[KnownKey | None]]
"""Answers what a partner's idempotency key stands for at a time; None where it is not remembered."""


class Intake(Protocol):
    """Where submissions are written: the store's tasks."""

    async def submit(self, submission: Submission) -> Accepted:
        """Write a submission, whole or not at all."""
        ...


_SENTENCES: Final = {
    Full.QUOTA: "This partner has as many tasks waiting as it may.",
    Full.DEPTH: "The service has as many tasks waiting as it may.",
    Full.DISK: "The service's disk is nearly full.",
    Full.BROKER: "The broker's memory is full.",
    Full.DATABASE: "The database does not answer.",
}
_ERRORS: Final = {
    Full.QUOTA: QuotaExceeded,
    Full.DEPTH: Overloaded,
    Full.DISK: Overloaded,
    Full.BROKER: Overloaded,
    Full.DATABASE: Unavailable,
}
_MAY_HAVE_CHANGED: Final = frozenset({Full.QUOTA, Full.DEPTH})


class SubmitTasks:
    """The flow. `ceilings` are the service's; a partner's own `max_queued` goes before them.

    `listeners` hear of what went to the store, unless it was a repeat.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        recall: Recall,
        load: LoadGauge,
        rates: PartnerRates,
        ceilings: Ceilings,
        listeners: Sequence[Callable[[TasksSubmitted], None]] = (),
    ) -> None:
        self._intake = intake
        self._recall = recall
        self._load = load
        self.rates = rates
        self.ceilings = ceilings
        self._listeners = tuple(listeners)

    def limits(self, partner: Partner) -> LimitsInForce:
        """Return the limits in force for a partner: its own, or the service's."""
        rate = self.rates.rate(RateKind.TASKS, partner)
        own = partner.limits.max_queued
        return LimitsInForce(
            rate_per_second=rate.per_second,
            burst=rate.burst,
            max_queued=self.ceilings.partner_max_queued if own is None else own,
        )

    async def meter(self, bucket: RateKind, partner: Partner, count: int, *, now_ms: int) -> None:
        """Take `count` from one of the partner's rates. Raises RateLimited, with the seconds to wait."""
        taken = await self.rates.take(bucket, partner, count, now_ms=now_ms)
        if taken.granted:
            return
        rate = self.rates.rate(bucket, partner)
        if taken.retry_seconds is None:
            raise RateLimited(
                f"{count} {bucket} at once are more than this partner's burst of {rate.burst}; send fewer.",
                retry_after_seconds=taken.full_seconds,
            )
        what = "submit" if bucket is RateKind.TASKS else "make"
        raise RateLimited(
            f"This partner may {what} {rate.per_second:g} {bucket} a second, and {rate.burst} at once.",
            retry_after_seconds=taken.retry_seconds,
        )

    def refuse_spent(self, partner: Partner, now_ms: int) -> None:
        """Raise RateLimited where not one more task would be let in: before its body costs anything."""
        seen = self.rates.look(RateKind.TASKS, partner, now_ms=now_ms)
        if seen.remaining < 1:
            rate = self.rates.rate(RateKind.TASKS, partner)
            raise RateLimited(
                f"This partner may submit {rate.per_second:g} tasks a second, and {rate.burst} at once.",
                retry_after_seconds=seen.full_seconds - (rate.burst - 1) / rate.per_second,
            )

    async def submit(self, partner: Partner, submission: Submission) -> Accepted:
        """Take a submission in, whole or not at all; it counts as many as it has tasks.

        Raises RateLimited, QuotaExceeded, Overloaded and Unavailable, each with the seconds to wait,
        and IdempotencyMismatch.
        """
        count = max(1, len(submission.tasks))  # an open batch may begin with none
        await self.meter(RateKind.TASKS, partner, count, now_ms=submission.now_ms)
        shed = await self._refusal(partner, count)
        if shed is not None:
            known = None if shed.full is Full.DATABASE else await self._repeated(submission)
            if known is not None:
                return known
            raise _ERRORS[shed.full](_SENTENCES[shed.full], retry_after_seconds=shed.retry_seconds)
        with self._load.entering(partner.id, count):
            return await self._write(submission)

    async def _write(self, submission: Submission) -> Accepted:
        if not self._listeners or not submission.tasks:
            return await self._intake.submit(submission)
        began = perf_counter()
        try:
            accepted = await self._intake.submit(submission)
        except ServiceError as error:
            self._tell(submission, perf_counter() - began, error.code)
            raise
        if not accepted.replayed:
            self._tell(submission, perf_counter() - began, None)
        return accepted

    def _tell(self, submission: Submission, seconds: float, error: str | None) -> None:
        first, queues = submission.tasks[0], {task.queue for task in submission.tasks}
        alone = len(submission.tasks) == 1
        fact = TasksSubmitted(
            partner_id=submission.partner_id,
            count=len(submission.tasks),
            task_id=first.id if alone else None,
            type=first.type if alone else None,
            queue=first.queue if len(queues) == 1 else None,
            error=error,
            duration_us=int(seconds * 1_000_000),
            trace_id=first.trace.trace_id,
            span_id=first.trace.parent_id,
            parent_span_id=submission.parent_span_id,
            trace_flags=first.trace.flags,
            trace_state=first.trace.state,
        )
        for tell in self._listeners:
            tell(fact)

    async def _refusal(self, partner: Partner, count: int) -> Shed | None:
        own = partner.limits.max_queued
        ceilings = Ceilings(
            max_queued=self.ceilings.max_queued,
            partner_max_queued=self.ceilings.partner_max_queued if own is None else own,
            min_free_disk_bytes=self.ceilings.min_free_disk_bytes,
        )
        verdict = admit(self._load.load_for(partner.id), ceilings, count=count)
        if isinstance(verdict, Shed) and verdict.full in _MAY_HAVE_CHANGED:
            await self._load.refresh()
            verdict = admit(self._load.load_for(partner.id), ceilings, count=count)
        return verdict if isinstance(verdict, Shed) else None

    async def _repeated(self, submission: Submission) -> Accepted | None:
        if submission.key is None:
            return None
        known = await self._recall(submission.partner_id, submission.key, submission.now_ms)
        if known is None:
            return None
        if known.fingerprint != submission.fingerprint:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used before with another request; use a new key for a new request."
            )
        return Accepted(task_ids=known.task_ids, replayed=True, outcome=known.outcome)
