"""Where in its trace a message is: below the run that made it, else where its task is; on both databases."""

import pytest

from tests.support import seeds, work
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.traces import place_of_message
from webhookd.core.execution import Progress
from webhookd.core.trace import TraceContext

SUBMISSION, RUN, REQUEST = "b7ad6b7169203331", "00000000000000a1", "00000000000000a2"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(("span_id", "parent"), [(RUN, RUN), ("", SUBMISSION)])
async def test_message_of_an_end_is_below_its_run_where_that_has_a_span(
    database: Database, store: Store, span_id: str, parent: str
) -> None:
    partner_id = await seeds.partner(database)
    await seeds.endpoint(store, partner_id)
    await work.submit(store, work.task_of(partner_id))
    await work.finish(store, await work.claim_one(store), span_id=span_id)
    [delivery] = await seeds.due(store, seeds.NOW)
    assert (delivery.trace.trace_id, delivery.trace.parent_id) == (TRACE, parent)
    place = await store.db.read(place_of_message, delivery.message_id)
    assert place == TraceContext(trace_id=TRACE, parent_id=parent, flags=1)


async def test_message_of_progress_is_below_its_run(database: Database, store: Store) -> None:
    partner_id = await seeds.partner(database)
    await seeds.endpoint(store, partner_id, events=("task.progress",))
    await work.submit(store, work.task_of(partner_id))
    task = await work.claim_one(store)
    report = Progress(
        task_id=task.id,
        session_id=seeds.SESSION,
        token=task.token,
        percent=5,
        message=None,
        now_ms=seeds.NOW,
        span_id=RUN,
    )
    assert await store.tasks.progress(report)
    [delivery] = await seeds.due(store, seeds.NOW)
    assert (delivery.event, delivery.trace.parent_id) == ("task.progress", RUN)


async def test_test_message_is_in_the_trace_it_is_given_or_begins_one(store: Store) -> None:
    target = await seeds.endpoint(store, await seeds.partner(store.db))
    trace = TraceContext(trace_id="f" * 32, parent_id=REQUEST, flags=0, state="vendor=1")
    states = store.endpoints.states
    await store.db.write(states.send_test, target.id, None, seeds.NOW, trace=trace)
    await store.db.write(states.send_test, target.id, None, seeds.NOW)
    first, second = sorted(await seeds.due(store, seeds.NOW), key=lambda due: due.trace.flags)
    assert (first.trace.trace_id, first.trace.parent_id, first.trace.flags) == ("f" * 32, REQUEST, 0)
    assert first.trace.state == "vendor=1"
    assert (second.trace.parent_id, second.trace.flags) == ("", 1)
    assert second.trace.trace_id not in ("f" * 32, "")
