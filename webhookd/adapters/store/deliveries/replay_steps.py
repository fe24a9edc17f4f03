"""One bounded step of a replay or a discard: the next ones that match are found, and its deed is done.

A step is one transaction that locks the replay's row, so that any process may take it and two never do
the same one: what is written there (place, count, state) moves together with what was put back to work.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from webhookd.adapters.store.deliveries.dead_letter_moves import discard_dead_letters, replay_dead_letters
from webhookd.adapters.store.deliveries.dead_letters import Slice, read_dead_letters
from webhookd.adapters.store.deliveries.replay_orders import ended, lock_for_step, save
from webhookd.adapters.store.deliveries.waiting import hasten, place_of, read_waiting
from webhookd.adapters.store.tx import Tx
from webhookd.core.model import ReplayMove, ReplayState
from webhookd.core.rate import Starts
from webhookd.core.records import DeadLetter
from webhookd.core.replay import Advanced, Deed, Place, Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """How many were looked at, to how many the deed was done, and where that leaves the replay."""

    seen: int
    done: int
    place: Place | None


def advance_replay(tx: Tx, seen: Replay, allowed: Starts, take: int, now_ms: int) -> Advanced | None:
    """Do the replay's deed to the next `take` that match.

    None where it is no longer as it was `seen`: another process has taken this step, or it is over or paused.
    """
    if lock_for_step(tx, seen.id) != seen or seen.state is not ReplayState.RUNNING:
        return None
    step = (_send_now if seen.takes_waiting else _treat_letters)(tx, seen, allowed, take, now_ms)
    moved = replace(seen, place=step.place, replayed=seen.replayed + step.done)
    if step.seen < take:
        moved = ended(moved, ReplayMove.FINISH, now_ms)
    save(tx, moved)
    return Advanced(replay=moved, replayed=step.done)


def _send_now(tx: Tx, replay: Replay, allowed: Starts, take: int, now_ms: int) -> _Step:
    found = read_waiting(tx, replay, limit=take)
    done = hasten(tx, [one.id for one in found], now_ms=now_ms, replay_id=replay.id)
    place = place_of(found[-1], allowed.after(len(found))) if found else replay.place
    return _Step(seen=len(found), done=done, place=place)


def _treat_letters(tx: Tx, replay: Replay, allowed: Starts, take: int, now_ms: int) -> _Step:
    place = replay.place
    letters = read_dead_letters(
        tx,
        replay.partner_id,
        replay.wanted,
        Slice(
            after=None if place is None else (place.at_ms, place.id),
            oldest_first=True,
            replayable=replay.deed is Deed.REPLAY,
        ),
        limit=take,
    )
    if not letters:
        return _Step(seen=0, done=0, place=place)
    done = _DEEDS[replay.deed](tx, replay, letters, now_ms)
    last = letters[-1]
    return _Step(
        seen=len(letters),
        done=done,
        place=Place(at_ms=last.at_ms, id=last.id, next_ms=allowed.after(len(letters))),
    )


_DEEDS: Final[dict[Deed, Callable[[Tx, Replay, list[DeadLetter], int], int]]] = {
    Deed.REPLAY: lambda tx, replay, letters, now_ms: replay_dead_letters(
        tx, letters, now_ms=now_ms, replay_id=replay.id
    ),
    Deed.DISCARD: lambda tx, _, letters, now_ms: discard_dead_letters(tx, letters, now_ms=now_ms),
}
