"""Delivering: claim due deliveries lane by lane, send them all at once, write outcomes as they come.

A turn fills the free sockets and refills them as answers arrive. Slow lanes together hold at most a quarter
of them, and lanes nothing has come back from yet at most half; of each of these one partner holds at most
three times what is free. However many hang, old or new, proven or not, the others go on. What may be sent
when is the store's claim and `core.pacing`; what an answer means is `core.delivery`; how bytes leave this
machine is the sender's.

Theory of operation. One turn runs at a time; whoever wants another one meanwhile sets `_again`. A delivery
takes its socket with the answer of the claim, gives it back when its own answer is there (`_sent`), and is
in `_under_way` until its outcome is written. So outcomes that wait for the store hold no sockets. Turns
begin by a permit (news: worth a claim for one free socket), by an answer (worth one once enough sockets are
free, or while there is a backlog) or by the alarm of a lane that falls due. Between two awaits of a turn
attempts end, the lease may be lost and `stop` may be called; that is safe because

- a claim never asks for more than the sockets free when it began, and only a turn takes sockets;
- a claim whose answer was lost is followed, for DOUBT_SECONDS, by asking what the session holds, before the
  next claim (`_find_unknown`);
- everything written carries session and token, nothing is sent once the lease is over, and answers of
  claims under an old session are dropped;
- what could not be sent is handed back, for as long as this session lasts; its attempt is not used up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache

import structlog

from webhookd.core.dispatch import AttemptDone, ClaimDeliveries, DueDelivery, Handed, Turn
from webhookd.core.errors import ServiceError, WebhookdError
from webhookd.core.facts import AttemptEnded
from webhookd.core.hosts import HostFailures, Hosts, HostState, host_of
from webhookd.core.pacing import LaneSign
from webhookd.core.reply import Reply
from webhookd.core.retry import RetryPolicy
from webhookd.flows.alarm import Alarm
from webhookd.flows.deliver.attempt import attempt_done, attempt_ended
from webhookd.flows.deliver.ports import Lanes, Opens, Posts
from webhookd.flows.deliver.signer import MAX_REMEMBERED, Signer
from webhookd.flows.deliver.sockets import Sockets
from webhookd.flows.lease import DOUBT_SECONDS, Lease
from webhookd.runtime.persist import persist

log = structlog.get_logger(__name__)

QUEUE = "deliver"
GATHER_SECONDS = 0.003


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
        self._signer = Signer(vault, user_agent=user_agent)
        self._lease = lease
        self._alarm = alarm
        self._now_ms = now_ms
        self._new_span_id = new_span_id
        self._chance = chance
        self._policy = policy
        self._sockets = Sockets(connections)
        self._listeners = tuple(listeners)
        self._under_way: dict[asyncio.Task[None], tuple[str, int]] = {}
        self._doubt_ends: float | None = None  # there was a claim whose answer was lost
        self._backlog = False
        self._turning = False
        self._again = False
        self._news = False
        self._turn_is_due = False
        self._next_turn: asyncio.TimerHandle | None = None
        self._turns: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._clock = 0.0
        self._partner_vtimes: dict[str, float] = {}
        self._host_states: Mapping[str, HostState] = {}
        self._host_failures = HostFailures()
        self._target = lru_cache(MAX_REMEMBERED)(lambda url, owner: sender.prepare(url, owner=owner))

    @property
    def under_way(self) -> int:
        """How many attempts are under way: being sent, or answered and not yet recorded."""
        return len(self._under_way)

    async def turn(self, queue: str = QUEUE) -> None:  # noqa: ARG002 - the one queue there is
        """Claim and send until nothing more may start now.

        Attempts end long after their turn; what they make room for is claimed by a turn of this
        process's own, so a permit is needed for news only. One turn runs at a time.
        """
        self._news = True
        await self._own_turn()

    async def _own_turn(self) -> None:
        self._again = True
        self._turn_is_due = False
        if self._turning:
            return
        self._turning = True
        try:
            while self._again and not self._stopping and self._lease.alive:
                self._again = False
                if not self._worth_a_claim():
                    return
                session_id = self._lease.id
                if self._doubt_ends is not None:
                    await self._find_unknown(session_id, self._doubt_ends)
                turn = await self._claim()
                if session_id != self._lease.id:
                    # The lease was lost meanwhile, and with it what was claimed under it.
                    continue
                if self._stopping:
                    await asyncio.gather(*(self._hand_back(d, session_id) for d in turn.deliveries))
                    return
                self._take_up(turn)
        finally:
            self._turning = False

    def _take_up(self, turn: Turn) -> None:
        """Start what was claimed, and see to the next claim."""
        for delivery in turn.deliveries:
            self._start(delivery)
        if self._sockets.claimed():
            self._again = self._news = True
        if not turn.deliveries:
            self._backlog = False
        if turn.again_ms is not None:
            self._look_again(turn.again_ms)

    def _worth_a_claim(self) -> bool:
        """Tell whether to claim now: with news for any free socket, else once a claim pays."""
        news, self._news = self._news, False
        return self._sockets.all.free > 0 if news else self._sockets.all.worth_a_claim

    async def stop(self, grace_seconds: float) -> None:
        """Claim nothing more and let what is under way end; what does not in time is taken back later."""
        self._stopping = True
        self._sockets.close()
        if self._next_turn is not None:
            self._next_turn.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace_seconds)
        for attempt in tuple(self._under_way):
            attempt.cancel()
        await self._sender.close()

    async def _claim(self) -> Turn:
        sockets = self._sockets
        sockets.claiming()
        request = ClaimDeliveries(
            session_id=self._lease.id,
            free=sockets.all.free,
            slow_free=sockets.slow.free,
            unheard_free=sockets.unheard.free,
            now_ms=self._now_ms(),
            clock=self._clock,
            partner_vtimes=self._partner_vtimes,
            held=dict(sockets.all.held),
            slow_held=dict(sockets.slow.held),
            unheard_held=dict(sockets.unheard.held),
            hanging=sockets.hanging_lanes,
            hosts=Hosts(states=self._host_states, braked=self._host_failures.braked),
        )
        try:
            turn = await self._lanes.claim(request)
        except ServiceError:
            self._doubt_ends = asyncio.get_running_loop().time() + DOUBT_SECONDS
            raise
        self._clock, self._partner_vtimes = turn.clock, turn.partner_vtimes
        self._host_states = turn.host_states
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
        turn = asyncio.get_running_loop().create_task(self._own_turn(), name="turn")
        self._turns.add(turn)
        turn.add_done_callback(self._turned)

    def _turned(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        if not turn.cancelled() and turn.exception() is not None:
            # The sweep rings again within a second.
            log.warning("turn_failed", reason=str(turn.exception()))

    def _start(self, delivery: DueDelivery) -> None:
        self._sockets.take(delivery)
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
        done = attempt_done(
            delivery,
            session_id,
            answer,
            policy=self._policy,
            chance=self._chance(),
            now_ms=self._now_ms(),
        )
        self._note_host(done)
        await self._record(done, span_id)

    def _note_host(self, done: AttemptDone) -> None:
        """Count failures in a row of the host, whoever's they are. A 410 says neither."""
        host = host_of(done.delivery.url or done.delivery.target.url or "")
        if done.attempt.error is None:
            self._host_failures.succeeded(host)
        elif done.outcome.kind in (LaneSign.FAILURE, LaneSign.CONGESTION):
            self._host_failures.failed(host)

    def _sent(self, delivery: DueDelivery) -> None:
        """Free its socket. While there is a backlog, the next claim shares the commit of this record."""
        pays, share_pays = self._sockets.give_back(delivery)
        self._news = self._news or share_pays
        if self._backlog or pays or share_pays:
            self._look_again(self._now_ms())

    async def _send(self, delivery: DueDelivery, span_id: str) -> Reply | None:
        """Sign and send. None: the lease is over, others have taken this delivery."""
        url = delivery.url or delivery.target.url or ""
        target = self._target(url, delivery.target.partner_id)
        body = delivery.body.encode()
        headers = self._signer.headers(delivery, body, at_seconds=self._now_ms() // 1000, span_id=span_id)
        if not self._lease.alive:
            return None
        return await self._sender.post(target, headers=headers, body=body)

    async def _record(self, done: AttemptDone, span_id: str) -> None:
        """Write the outcome, however long the store is away, unless the lease is lost meanwhile."""
        recorded = await persist(
            lambda: self._lanes.record(done),
            held=lambda: done.session_id == self._lease.id,
            tell=lambda why: log.warning("attempt_not_written", delivery=done.delivery.id, reason=why),
        )
        if recorded is None:
            return
        if recorded.wake_ms is not None:
            self._backlog = self._backlog or recorded.wake_ms <= self._now_ms()
            self._look_again(recorded.wake_ms)
        fact = attempt_ended(done, span_id, lost=recorded.lost)
        for tell in self._listeners:
            tell(fact)

    async def _hand_back(self, delivery: DueDelivery, session_id: str) -> None:
        """Give it back unsent, however long the store is away, unless the lease is lost meanwhile."""

        def held() -> bool:
            return session_id == self._lease.id

        def hand_back() -> Awaitable[bool]:
            due_ms = self._now_ms() + 1_000
            return self._lanes.hand_back(Handed(delivery=delivery, session_id=session_id, now_ms=due_ms))

        if held():
            await persist(
                hand_back,
                held=held,
                tell=lambda why: log.warning("not_handed_back", delivery=delivery.id, reason=why),
            )
