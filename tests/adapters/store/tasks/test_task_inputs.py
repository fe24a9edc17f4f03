"""A task's input, on both databases."""

from tests.support.seeds import partner
from tests.support.work import ended_task
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.task_inputs import read_input
from webhookd.core.execution import End


async def test_input_is_its_partners_own(store: Store) -> None:
    mine = await partner(store.db)
    task_id = await ended_task(store, mine, End.FAILED)
    assert await store.read(read_input, task_id, mine) == "{}"
    assert await store.read(read_input, task_id, None) == "{}"
    assert await store.read(read_input, task_id, "prt_another") is None
    assert await store.read(read_input, "task_unknown", None) is None
