"""After every public write just the queues with new work are rung, and the tasks that changed published."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from tests.support.records import a_replay
from tests.support.seeds import NOW, Woken, dead_delivery, endpoint, message_to, partner
from tests.support.work import cancel, claim_one, ended_task, finish, replay, submit, task_of
from webhookd.adapters.store.counters import set_paused
from webhookd.adapters.store.deliveries.dead_letter_moves import replay_dead_letter
from webhookd.adapters.store.deliveries.deliveries import cancel_delivery, replay_delivery
from webhookd.adapters.store.deliveries.replay_orders import create_replay
from webhookd.adapters.store.schema import tasks
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.core import ids
from webhookd.core.execution import End
from webhookd.core.records import ClaimedTask

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scene:
    """A partner and what it has before the write; `store` is where it has it."""

    store: Store
    partner_id: str
    ids: list[str] = field(default_factory=list)
    claimed: list[ClaimedTask] = field(default_factory=list)


Act = Callable[[Scene], Awaitable[object]]


async def _nothing(_scene: Scene) -> None:
    pass


async def _waits(scene: Scene) -> None:
    scene.ids.extend(await submit(scene.store, task_of(scene.partner_id)))


async def _runs(scene: Scene) -> None:
    await _waits(scene)
    scene.claimed.append(await claim_one(scene.store))


async def _failed(scene: Scene) -> None:
    scene.ids.append(await ended_task(scene.store, scene.partner_id, End.FAILED))


async def _heard(scene: Scene) -> None:
    await endpoint(scene.store, scene.partner_id)


async def _waits_and_is_heard(scene: Scene) -> None:
    await _heard(scene)
    await _waits(scene)


async def _runs_and_is_heard(scene: Scene) -> None:
    await _heard(scene)
    await _runs(scene)


async def _cancelled(scene: Scene) -> None:
    await _waits(scene)
    await _cancel(scene)


async def _dead_delivery(scene: Scene) -> None:
    scene.ids.append(await dead_delivery(scene.store, await endpoint(scene.store, scene.partner_id)))


async def _cancel(scene: Scene) -> object:
    return await cancel(scene.store, scene.ids[0])


async def _replay(scene: Scene) -> object:
    return await replay(scene.store, scene.ids[0])


async def _replay_letter(scene: Scene) -> object:
    return await scene.store.write(replay_dead_letter, scene.ids[0], None, 0)


async def _replay_delivery(scene: Scene) -> object:
    return await scene.store.write(replay_delivery, scene.ids[0], None, NOW)


async def _cancel_delivery(scene: Scene) -> object:
    return await scene.store.write(cancel_delivery, scene.ids[0], None, NOW)


async def _waiting_delivery(scene: Scene) -> None:
    scene.ids.append(await message_to(scene.store, await endpoint(scene.store, scene.partner_id)))


async def _replay_many(scene: Scene) -> object:
    asked = a_replay(
        id=ids.make_id(ids.REPLAY, now_ms=NOW, entropy=bytes(10)),
        partner_id=scene.partner_id,
        rate_per_second=1.0,
        matched=1,
        created_ms=NOW,
    )
    return await scene.store.write(create_replay, asked)


async def _claim(scene: Scene) -> object:
    return await claim_one(scene.store)


async def _finish(scene: Scene) -> object:
    return await finish(scene.store, scene.claimed[0])


async def _hand_back(scene: Scene) -> object:
    return await finish(scene.store, scene.claimed[0], End.HANDED_BACK)


async def _pause(scene: Scene) -> object:
    return await scene.store.write(set_paused, "default", 1)


async def _resume(scene: Scene) -> object:
    return await scene.store.write(set_paused, "default", None)


@pytest.mark.parametrize(
    ("before", "write", "queues"),
    [
        pytest.param(_nothing, _waits, {"default"}, id="submit"),
        pytest.param(_waits, _claim, NOBODY, id="claim"),
        pytest.param(_runs, _finish, NOBODY, id="finish, with nobody to tell"),
        pytest.param(_runs_and_is_heard, _finish, {"deliver"}, id="finish"),
        pytest.param(_runs, _hand_back, {"default"}, id="hand back"),
        pytest.param(_waits, _cancel, NOBODY, id="cancel what waits, with nobody to tell"),
        pytest.param(_waits_and_is_heard, _cancel, {"deliver"}, id="cancel what waits"),
        pytest.param(_runs, _cancel, NOBODY, id="ask what runs to stop"),
        pytest.param(_cancelled, _cancel, NOBODY, id="cancel again"),
        pytest.param(_failed, _replay, {"default"}, id="replay a dead task"),
        pytest.param(_waits, _replay, NOBODY, id="replay what is not dead"),
        pytest.param(_failed, _replay_letter, {"default"}, id="replay a dead letter: a task"),
        pytest.param(_dead_delivery, _replay_letter, {"deliver"}, id="replay a dead letter: a delivery"),
        pytest.param(_dead_delivery, _replay_delivery, {"deliver"}, id="replay a delivery"),
        pytest.param(_waiting_delivery, _replay_delivery, {"deliver"}, id="replay a delivery that waits"),
        pytest.param(_waiting_delivery, _cancel_delivery, {"deliver"}, id="cancel a delivery"),
        pytest.param(_dead_delivery, _cancel_delivery, NOBODY, id="cancel a delivery that is dead"),
        pytest.param(_dead_delivery, _replay_many, {"deliver"}, id="ask for a replay of many"),
        pytest.param(_waits, _pause, NOBODY, id="pause a queue"),
        pytest.param(_waits, _resume, {"default"}, id="resume a queue"),
    ],
)
async def test_a_write_rings_where_there_is_new_work_and_publishes_what_changed(
    store: Store,
    woken: Woken,
    before: Act,
    write: Act,
    queues: set[str],
) -> None:
    scene = Scene(store, await partner(store.db))
    await before(scene)
    known = await store.read(_versions)
    woken.forget()

    await write(scene)

    now = await store.read(_versions)
    assert woken.rung == sorted(queues)
    told = {signal.task_id: signal.version for signal in woken.told}
    assert told == {task_id: version for task_id, version in now.items() if known.get(task_id) != version}


async def test_a_write_that_fails_wakes_nobody_and_counts_nothing(store: Store, woken: Woken) -> None:
    scene = Scene(store, await partner(store.db))
    await _failed(scene)
    woken.forget()

    def replay_and_fail(tx: Tx) -> None:
        tx.wakes.ring("default")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(replay_and_fail)

    assert woken == Woken()


def _versions(tx: Tx) -> dict[str, int]:
    return {row.id: row.version for row in tx.conn.execute(select(tasks.c.id, tasks.c.version))}
