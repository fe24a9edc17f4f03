"""Delivering: claim due deliveries lane by lane, send them all at once, write outcomes as they come.

A turn fills the free sockets and refills them as answers arrive; slow lanes together hold at most a
quarter of them. What may be sent when is the store's claim and `core.pacing`; what an answer means is
`core.delivery`; how bytes leave this machine is the sender's.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
import structlog

from webhookd.core.answer import Answer
from webhookd.core.delivery import Delivered, GiveUp, NotCounted, RetryAt, error_code, judge
from webhookd.core.dispatch import (
    AttemptDone,
    AttemptRecorded,
    ClaimDeliveries,
    DueDelivery,
    Handed,
    LaneTarget,
    Turn,
)
from webhookd.core.errors import ServiceError, WebhookdError
from webhookd.core.facts import AttemptEnded
from webhookd.core.pacing import outcome_of
from webhookd.core.records import Attempt
from webhookd.core.retry import RetryPolicy
from webhookd.core.signing import SigningKey, signature_header
from webhookd.flows.alarm import Alarm
from webhookd.flows.lease import Lease

log = structlog.get_logger(__name__)

QUEUE = "deliver"
GATHER_SECONDS = 0.003
SLOW_SHARE = 4
DOUBT_SECONDS = 5.0
"""How long after a claim without an answer its commit may still show."""
_CACHED_LANES = 4_096
_VERDICTS = {Delivered: "delivered", RetryAt: "retry", GiveUp: "dead", NotCounted: "not_counted"}


class Lanes(Protocol):
    """Where deliveries are claimed and attempts written."""

    async def claim(self, request: ClaimDeliveries) -> Turn:
        """Claim due deliveries."""
        ...

    async def held(self, session_id: str, now_ms: int) -> list[DueDelivery]:
        """Return what a session holds and may send."""
        ...

    async def record(self, done: AttemptDone) -> AttemptRecorded:
        """Write what came of an attempt."""
        ...

    async def hand_back(self, handed: Handed) -> bool:
        """Give back an unsent delivery; its attempt is not used up."""
        ...


class Posts(Protocol):
    """What sends: `prepare` once per lane, `post` per attempt."""

    def prepare(self, url: str) -> Any:
        """Take a canonical URL apart."""
        ...

    async def post(self, target: Any, *, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Send one POST; the far side's faults come back in the answer."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Opens(Protocol):
    """What opens sealed secrets."""

    def open(self, sealed: str, *, partner: str, endpoint: str | None, field: str) -> bytes:
        """Return the plain bytes; raises where the text was sealed for another row."""
        ...


class DeliveryEngine:
    """Sends the deliveries of this process. `turn` is what a permit calls; `stop` ends gracefully."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        sender: Posts,
        vault: Opens,
        lease: Lease,
        alarm: Alarm,
        now_ms: Callable[[], int],
        new_span_id: Callable[[], str],
        chance: Callable[[], float],
        policy: RetryPolicy,
        connections: int,
        user_agent: str,
        listeners: Sequence[Callable[[AttemptEnded], None]] = (),
    ) -> None:
        self._lanes = lanes
        self._sender = sender
        self._vault = vault
        self._lease = lease
        self._alarm = alarm
        self._now_ms = now_ms
        self._new_span_id = new_span_id
        self._chance = chance
        self._policy = policy
        self._connections = connections
        self._fixed_headers = (("content-type", "application/json"), ("user-agent", user_agent))
        self._listeners = tuple(listeners)
        self._under_way: dict[asyncio.Task[None], tuple[str, int]] = {}
        self._doubt_ends: float | None = None  # there was a claim whose answer was lost
        self._sending = 0
        self._slow_sending = 0
        self._backlog = False
        self._refill = max(1, connections // 8)
        self._turning = False
        self._again = False
        self._turn_is_due = False
        self._next_turn: asyncio.TimerHandle | None = None
        self._turns: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._clock = 0.0
        self._partner_vtimes: dict[str, float] = {}
        self._keys: dict[str, SigningKey] = {}
        self._headers: dict[str, tuple[tuple[str, str], ...]] = {}
        self._targets: dict[str, Any] = {}

    @property
    def under_way(self) -> int:
        """How many attempts are under way: being sent, or answered and not yet recorded."""
        return len(self._under_way)

    async def turn(self, queue: str = QUEUE) -> None:  # noqa: ARG002 - the one queue there is
        """Claim and send until nothing more may start now.

        Attempts end long after their turn; what they make room for is claimed by a turn of this
        process's own, so a permit is needed for news only. One turn runs at a time.
        """
        self._again = True
        self._turn_is_due = False
        if self._turning:
            return
        self._turning = True
        try:
            while self._again and not self._stopping and self._lease.alive:
                self._again = False
                free = self._connections - self._sending
                if free < self._refill:
                    return
                session_id = self._lease.id
                if self._doubt_ends is not None:
                    await self._find_unknown(session_id, self._doubt_ends)
                turn = await self._claim(free)
                if session_id != self._lease.id:
                    # The lease was lost meanwhile, and with it what was claimed under it.
                    continue
                if self._stopping:
                    await asyncio.gather(*(self._hand_back(d, session_id) for d in turn.deliveries))
                    return
                for delivery in turn.deliveries:
                    self._start(delivery)
                if not turn.deliveries:
                    self._backlog = False
                if turn.again_ms is not None:
                    self._look_again(turn.again_ms)
        finally:
            self._turning = False

    async def stop(self, grace_seconds: float) -> None:
        """Claim nothing more and let what is under way end; what does not in time is taken back later."""
        self._stopping = True
        if self._next_turn is not None:
            self._next_turn.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace_seconds)
        for attempt in tuple(self._under_way):
            attempt.cancel()
        await self._sender.close()

    async def _claim(self, free: int) -> Turn:
        slow_free = max(0, self._connections // SLOW_SHARE - self._slow_sending)
        request = ClaimDeliveries(
            session_id=self._lease.id,
            free=free,
            slow_free=slow_free,
            now_ms=self._now_ms(),
            clock=self._clock,
            partner_vtimes=self._partner_vtimes,
        )
        try:
            turn = await self._lanes.claim(request)
        except ServiceError:
            self._doubt_ends = asyncio.get_running_loop().time() + DOUBT_SECONDS
            raise
        self._clock, self._partner_vtimes = turn.clock, turn.partner_vtimes
        return turn

    async def _find_unknown(self, session_id: str, doubt_ends: float) -> None:
        """Send what is held because of a claim whose answer was lost: its lane would wait for it."""
        known = set(self._under_way.values())
        held = await self._lanes.held(session_id, self._now_ms())
        if session_id != self._lease.id or self._stopping:
            return
        for delivery in held:
            if (delivery.id, delivery.token) not in known:
                log.info("claim_found", delivery=delivery.id)
                self._start(delivery)
        if asyncio.get_running_loop().time() >= doubt_ends:
            self._doubt_ends = None

    def _look_again(self, due_ms: int) -> None:
        """Claim again at `due_ms`."""
        if due_ms > self._now_ms():
            self._alarm.at(QUEUE, due_ms)
        elif self._turning:
            self._again = True
        elif self._backlog and not self._turn_is_due:
            self._turn_soon()
        elif self._next_turn is None and not self._turn_is_due:
            # Outcomes come by the dozen: a moment's wait makes one claim of them.
            self._next_turn = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._turn_again)

    def _turn_again(self) -> None:
        self._next_turn = None
        self._turn_soon()

    def _turn_soon(self) -> None:
        self._turn_is_due = True
        turn = asyncio.get_running_loop().create_task(self.turn(), name="turn")
        self._turns.add(turn)
        turn.add_done_callback(self._turned)

    def _turned(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        if not turn.cancelled() and turn.exception() is not None:
            # The sweep rings again within a second.
            log.warning("turn_failed", reason=str(turn.exception()))

    def _start(self, delivery: DueDelivery) -> None:
        self._sending += 1
        self._slow_sending += delivery.target.slow
        attempt = asyncio.get_running_loop().create_task(self._attempt(delivery, self._lease.id))
        self._under_way[attempt] = delivery.id, delivery.token
        attempt.add_done_callback(self._ended)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        del self._under_way[attempt]
        if not attempt.cancelled() and attempt.exception() is not None:
            log.error("attempt_failed", exc_info=attempt.exception())

    async def _attempt(self, delivery: DueDelivery, session_id: str) -> None:
        span_id = self._new_span_id()
        try:
            answer = await self._send(delivery, span_id)
        except Exception as error:  # noqa: BLE001 - whatever it was, the delivery must not stay under way
            # Nobody was asked: this machine is out of sockets, or a secret cannot be opened.
            detail = error.detail if isinstance(error, WebhookdError) else repr(error)
            log.warning("attempt_not_made", delivery=delivery.id, reason=detail)
            await asyncio.sleep(1)
            await self._hand_back(delivery, session_id)
            return
        finally:
            self._sent(delivery)
        if answer is None:
            await self._hand_back(delivery, session_id)
            return
        await self._record(self._done(delivery, session_id, answer), span_id)

    def _sent(self, delivery: DueDelivery) -> None:
        """Free its socket. While there is a backlog, the next claim shares the commit of this record."""
        self._sending -= 1
        self._slow_sending -= delivery.target.slow
        if self._backlog or self._sending == self._connections - self._refill:
            self._look_again(self._now_ms())

    async def _send(self, delivery: DueDelivery, span_id: str) -> Answer | None:
        """Sign and send. None: the lease is over, others have taken this delivery."""
        lane = delivery.target
        url = delivery.url or lane.url or ""
        target = self._targets.get(url)
        if target is None:
            target = _remember(self._targets, url, self._sender.prepare(url))
        body = delivery.body.encode()
        at_seconds = self._now_ms() // 1000
        headers = [
            *self._fixed_headers,
            ("webhook-id", delivery.message_id),
            ("webhook-timestamp", str(at_seconds)),
            (
                "webhook-signature",
                signature_header(
                    message_id=delivery.message_id,
                    timestamp=at_seconds,
                    body=body,
                    secrets=self._signing_keys(lane),
                ),
            ),
            ("webhook-attempt", str(delivery.attempt)),
            ("traceparent", f"00-{delivery.trace_id}-{span_id}-{delivery.trace_flags:02x}"),
        ]
        if delivery.trace_state:
            headers.append(("tracestate", delivery.trace_state))
        if lane.headers_sealed is not None:
            headers.extend(self._own_headers(lane, lane.headers_sealed))
        if not self._lease.alive:
            return None
        return await self._sender.post(target, headers=headers, body=body)

    def _signing_keys(self, lane: LaneTarget) -> list[SigningKey]:
        keys = []
        for secret in lane.secrets:
            key = self._keys.get(secret.sealed)
            if key is None:
                plain = self._vault.open(
                    secret.sealed,
                    partner=secret.partner_id,
                    endpoint=secret.endpoint_id,
                    field="secret",
                )
                key = _remember(self._keys, secret.sealed, SigningKey.parse(plain.decode()))
            keys.append(key)
        return keys

    def _own_headers(self, lane: LaneTarget, sealed: str) -> tuple[tuple[str, str], ...]:
        known = self._headers.get(sealed)
        if known is None:
            plain = self._vault.open(
                sealed, partner=lane.partner_id, endpoint=lane.endpoint_id, field="headers"
            )
            known = _remember(self._headers, sealed, tuple(orjson.loads(plain).items()))
        return known

    def _done(self, delivery: DueDelivery, session_id: str, answer: Answer) -> AttemptDone:
        now_ms = self._now_ms()
        retry = delivery.target.retry
        policy = self._policy
        if (retry.base_seconds, retry.factor, retry.cap_seconds) != (None, None, None):
            policy = RetryPolicy(
                max_attempts=delivery.max_attempts,
                base_seconds=retry.base_seconds or policy.base_seconds,
                factor=retry.factor or policy.factor,
                cap_seconds=retry.cap_seconds or policy.cap_seconds,
            )
        verdict = judge(
            answer,
            attempt=delivery.attempts_in_budget,
            max_attempts=delivery.max_attempts,
            policy=policy,
            now_ms=now_ms,
            chance=self._chance(),
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
        )
        return AttemptDone(
            delivery=delivery,
            session_id=session_id,
            attempt=attempt,
            verdict=verdict,
            outcome=outcome_of(answer, now_ms=now_ms),
            now_ms=now_ms,
        )

    async def _record(self, done: AttemptDone, span_id: str) -> None:
        """Write the outcome, however long the store is away, unless the lease is lost meanwhile."""
        pause_seconds = 0.1
        while True:
            try:
                recorded = await self._lanes.record(done)
                break
            except ServiceError as error:
                if done.session_id != self._lease.id:
                    return
                log.warning("attempt_not_written", delivery=done.delivery.id, reason=error.detail)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2.0, pause_seconds * 2)
        if recorded.wake_ms is not None:
            self._backlog = self._backlog or recorded.wake_ms <= self._now_ms()
            self._look_again(recorded.wake_ms)
        fact = AttemptEnded(
            delivery_id=done.delivery.id,
            message_id=done.delivery.message_id,
            endpoint_id=done.delivery.target.endpoint_id,
            number=done.attempt.number,
            status=done.attempt.status,
            error=done.attempt.error,
            verdict="lost" if recorded.lost else _VERDICTS[type(done.verdict)],
            duration_us=done.attempt.duration_us,
            since_message_ms=done.now_ms - done.delivery.created_ms,
            trace_id=done.delivery.trace_id,
            event=done.delivery.event,
            task_id=done.delivery.task_id,
            partner_id=done.delivery.target.partner_id,
            url=(done.delivery.url or done.delivery.target.url or "").partition("?")[0],
            at_ms=done.attempt.at_ms,
            span_id=span_id,
            parent_span_id=done.delivery.trace_parent_id,
            trace_flags=done.delivery.trace_flags,
            trace_state=done.delivery.trace_state,
        )
        for tell in self._listeners:
            tell(fact)

    async def _hand_back(self, delivery: DueDelivery, session_id: str) -> None:
        """Give it back unsent, however long the store is away, unless the lease is lost meanwhile."""
        pause_seconds = 0.1
        while session_id == self._lease.id:
            try:
                await self._lanes.hand_back(
                    Handed(delivery=delivery, session_id=session_id, now_ms=self._now_ms() + 1_000)
                )
            except ServiceError as error:
                log.warning("not_handed_back", delivery=delivery.id, reason=error.detail)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2.0, pause_seconds * 2)
            else:
                return


def _remember(cache: dict[str, Any], key: str, value: Any) -> Any:
    if len(cache) >= _CACHED_LANES:
        cache.clear()
    cache[key] = value
    return value
