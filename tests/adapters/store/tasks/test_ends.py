"""How tries end: result, message and deliveries in one transaction, and never by whoever lost the task."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from tests.support.seeds import NOW, SESSION, Woken, endpoint, message_to, partner
from tests.support.work import (
    INLINE,
    assert_counters_are_true,
    cancel,
    claim,
    claim_one,
    deliveries_of,
    events_of,
    finish,
    look,
    replay,
    session,
    submit,
    task_of,
)
from webhookd.adapters.store.schema import messages
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.tasks import list_runs
from webhookd.adapters.store.tx import Policy, Tx
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.execution import End, Progress
from webhookd.core.model import DELIVER_QUEUE, TaskState
from webhookd.core.records import ClaimedTask


async def _body(store: Store, task_id: str) -> str:
    """The body of a task's one message."""
    found: str = await store.db.read(
        lambda tx: tx.conn.execute(select(messages.c.body).where(messages.c.task_id == task_id)).scalar_one()
    )
    return found


async def _running(store: Store, **changes: Any) -> ClaimedTask:
    await submit(store, task_of(await partner(store.db), **changes))
    return await claim_one(store)


async def test_a_result_comes_with_its_message_and_deliveries(store: Store, woken: Woken) -> None:
    task = await _running(store, **INLINE)
    woken.forget()

    recorded = await finish(store, task, now_ms=NOW + 7)

    ended = await look(store, task.id)
    assert (ended.state, ended.result_json, ended.finished_ms) == (
        TaskState.SUCCEEDED,
        '{"answer":42}',
        NOW + 7,
    )
    assert not recorded.lost
    assert woken.rung == [DELIVER_QUEUE]
    assert [(told.task_id, told.version) for told in woken.told] == [(task.id, 3)]
    assert ended.version == 3
    (delivery,) = await deliveries_of(store, task.id)
    assert (delivery.state, delivery.url, delivery.due_ms) == ("pending", INLINE["callback_url"], NOW + 7)
    await assert_counters_are_true(store)


async def test_the_signed_body_is_the_task_as_it_ended(store: Store) -> None:
    task = await _running(store, **INLINE, metadata_json='{"z":"1","a":"2"}')
    await finish(store, task, End.FAILED, now_ms=NOW + 7)

    body = await _body(store, task.id)
    event = orjson.loads(body)
    assert event["type"] == "task.failed"
    assert (event["data"]["id"], event["data"]["state"]) == (task.id, "failed")
    assert event["data"]["error"] == {"code": "no_luck", "message": "It did not work."}
    assert "deliveries" not in event["data"]
    assert '"metadata":{"z":"1","a":"2"}' in body


async def test_a_failed_task_is_a_dead_letter_until_it_is_replayed(store: Store) -> None:
    task = await _running(store)
    await finish(store, task, End.FAILED, reason="task_failed")

    replayed = await replay(store, task.id, now_ms=NOW + 10)

    assert replayed is not None
    assert (replayed.state, replayed.attempts, replayed.error_code) == (TaskState.QUEUED, 0, None)
    again = await claim_one(store)
    assert (again.attempt, again.budget_attempt) == (2, 1)
    await finish(store, again)
    assert await events_of(store, task.id) == ["task.failed", "task.succeeded"]
    assert await replay(store, task.id) is None
    await assert_counters_are_true(store)


async def test_a_retry_waits_for_its_time_with_its_error(store: Store) -> None:
    task = await _running(store)

    await finish(store, task, End.RETRY, due_ms=NOW + 1_000)

    waiting = await look(store, task.id)
    assert (waiting.state, waiting.due_ms, waiting.error_code) == (
        TaskState.SCHEDULED,
        NOW + 1_000,
        "no_luck",
    )
    assert (waiting.attempts, waiting.done) == (1, False)
    assert await events_of(store, task.id) == []
    await assert_counters_are_true(store)


async def test_what_is_handed_back_keeps_its_place_and_its_attempts(store: Store) -> None:
    task = await _running(store)

    await finish(store, task, End.HANDED_BACK, due_ms=task.due_ms)

    back = await look(store, task.id)
    assert (back.state, back.attempts, back.due_ms) == (TaskState.QUEUED, 0, NOW)
    assert (await claim_one(store)).attempt == 1
    await assert_counters_are_true(store)


@pytest.mark.parametrize("end", [End.RETRY, End.HANDED_BACK])
async def test_a_task_cancelled_while_it_ran_does_not_run_again(store: Store, end: End) -> None:
    task = await _running(store, **INLINE)
    cancelled = await cancel(store, task.id, task.partner_id, now_ms=NOW + 1)
    assert cancelled is not None
    assert (cancelled.was_done, cancelled.task.state) == (False, TaskState.RUNNING)
    assert await store.tasks.cancel_requests(SESSION) == [task.id]

    await finish(store, task, end, due_ms=NOW + 1_000, now_ms=NOW + 2)

    ended = await look(store, task.id)
    assert (ended.state, ended.finished_ms) == (TaskState.CANCELLED, NOW + 2)
    assert await events_of(store, task.id) == ["task.cancelled"]
    await assert_counters_are_true(store)


@pytest.mark.parametrize("how", ["while it waits", "while it runs again", "asked before its try failed"])
async def test_a_cancelled_task_has_no_error_though_a_try_failed(store: Store, how: str) -> None:
    task = await _running(store, **INLINE)
    if how == "asked before its try failed":
        await cancel(store, task.id)
    await finish(store, task, End.RETRY, due_ms=NOW + 1_000)
    if how == "while it waits":
        assert (await look(store, task.id)).error_code == "no_luck"
        await cancel(store, task.id)
    elif how == "while it runs again":
        await store.sweeps.fall_due(NOW + 1_000)
        again = await claim_one(store, now_ms=NOW + 1_000)
        await cancel(store, task.id, now_ms=NOW + 1_001)
        await finish(store, again, End.CANCELLED, now_ms=NOW + 1_002)

    ended = await look(store, task.id)
    assert (ended.state, ended.error_code, ended.error_message) == (TaskState.CANCELLED, None, None)
    told = orjson.loads(await _body(store, task.id))["data"]
    assert (told["state"], told["error"]) == ("cancelled", None)
    first, *_ = await store.read(list_runs, task.id)
    assert first.error_code == "no_luck"


@pytest.mark.parametrize("end", [End.SUCCEEDED, End.FAILED, End.CANCELLED])
async def test_a_function_that_ends_keeps_its_real_outcome_though_cancelled(store: Store, end: End) -> None:
    task = await _running(store)
    await cancel(store, task.id)

    await finish(store, task, end)

    assert (await look(store, task.id)).state == end.value
    await assert_counters_are_true(store)


async def test_cancelling_a_waiting_task_ends_it_at_once_and_only_once(store: Store) -> None:
    owner = await partner(store.db)
    ids = await submit(store, task_of(owner), task_of(owner, scheduled=True, due_ms=NOW + 5))

    for task_id in ids:
        first = await cancel(store, task_id, owner)
        again = await cancel(store, task_id, owner, now_ms=NOW + 1)
        assert first is not None
        assert again is not None
        assert (first.was_done, again.was_done) == (False, True)
        assert again.task == first.task
        assert await events_of(store, task_id) == ["task.cancelled"]
    assert await cancel(store, ids[0], "prt_other") is None
    assert not (await claim(store)).tasks
    await assert_counters_are_true(store)


async def test_a_stale_claim_writes_neither_result_nor_progress(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, task_of(owner))
    await session(store, "ses_frozen", lease_until_ms=NOW)
    stale = await claim_one(store, by="ses_frozen")
    await store.sweeps.rescue(NOW)
    current = await claim_one(store, idle=True)
    before = await look(store, stale.id)

    assert (await finish(store, stale, by="ses_frozen")).lost
    assert (await finish(store, stale, by=SESSION)).lost, "the token is part of the fence"
    assert not await _progress(store, stale, by="ses_frozen")
    assert await look(store, stale.id) == before
    assert await events_of(store, stale.id) == []
    assert not (await finish(store, current)).lost
    assert (await finish(store, current)).lost, "an end is written once"
    assert await events_of(store, stale.id) == ["task.succeeded"]


async def _progress(store: Store, task: ClaimedTask, *, by: str = SESSION, percent: float = 10.0) -> object:
    report = Progress(
        task_id=task.id, session_id=by, token=task.token, percent=percent, message="half", now_ms=NOW
    )
    return await store.tasks.progress(report)


async def test_progress_is_a_new_version_and_the_newest_of_a_batch_stays(store: Store) -> None:
    task = await _running(store)

    await asyncio.gather(*(_progress(store, task, percent=float(n)) for n in (10, 20, 30)))

    now = await look(store, task.id)
    assert (now.progress_percent, now.progress_message) == (30.0, "half")
    assert now.version > task.version
    await finish(store, task)
    assert (await look(store, task.id)).progress_percent == 30.0


async def test_ends_that_arrive_together_are_each_written(store: Store) -> None:
    owner = await partner(store.db)
    await submit(store, *(task_of(owner, **INLINE) for _ in range(30)))
    claimed = (await claim(store, 30)).tasks
    ends = (End.SUCCEEDED, End.FAILED, End.RETRY, End.HANDED_BACK, End.CANCELLED)

    await asyncio.gather(
        *(finish(store, task, ends[n % 5], due_ms=NOW + 1_000) for n, task in enumerate(claimed))
    )

    states = [(await look(store, task.id)).state.value for task in claimed[:5]]
    assert states == ["succeeded", "failed", "scheduled", "queued", "cancelled"]
    assert len(await _feed(store, owner)) == 18
    runs = await store.tasks.runs(claimed[2].id)
    assert [(run.attempt, run.outcome, run.error_code) for run in runs] == [(1, "retry", "no_luck")]
    await assert_counters_are_true(store)


async def test_every_subscriber_of_event_and_type_gets_a_copy(store: Store) -> None:
    owner, stranger = await partner(store.db), await partner(store.db, "stranger")
    wanted = [
        await endpoint(store, owner),
        await endpoint(store, owner, events=("task.succeeded",)),
        await endpoint(store, owner, task_types=("demo.*",)),
        await endpoint(store, owner, task_types=("demo.echo", "x.y")),
    ]
    await endpoint(store, owner, events=("task.failed",))
    await endpoint(store, owner, task_types=("demo.echo.*", "report.*"))
    await endpoint(store, stranger)
    states = store.endpoints.states
    deleted = await endpoint(store, owner)
    await store.db.write(states.delete, deleted.id, owner, NOW)
    await submit(store, task_of(owner))
    task = await claim_one(store)

    await finish(store, task)

    made = await deliveries_of(store, task.id)
    assert {d.endpoint_id for d in made} == {e.id for e in wanted}
    assert len({d.message_id for d in made}) == 1


async def test_a_disabled_endpoints_copy_is_parked_and_a_deleted_ones_dead(
    store: Store, woken: Woken
) -> None:
    owner = await partner(store.db)
    states = store.endpoints.states
    disabled, deleted = await endpoint(store, owner), await endpoint(store, owner)
    await store.db.write(states.disable, disabled.id, owner, NOW)
    await submit(store, task_of(owner, endpoint_ids=(disabled.id, deleted.id)))
    task = await claim_one(store)
    await store.db.write(states.delete, deleted.id, owner, NOW)

    woken.forget()

    await finish(store, task)

    made = {d.endpoint_id: (d.state, d.dead_reason) for d in await deliveries_of(store, task.id)}
    assert made == {disabled.id: ("parked", None), deleted.id: ("dead", "endpoint_deleted")}
    assert DELIVER_QUEUE not in woken.rung


async def test_a_task_with_no_endpoint_named_goes_to_none_though_others_subscribe(store: Store) -> None:
    owner = await partner(store.db)
    subscriber = await endpoint(store, owner, events=("task.*", "task.started"))
    await submit(store, task_of(owner, endpoint_ids=()))
    await submit(store, task_of(owner, now_ms=NOW + 1))
    quiet, loud = (await claim(store)).tasks

    await finish(store, quiet)
    await finish(store, loud)

    assert await deliveries_of(store, quiet.id) == []
    assert await events_of(store, quiet.id) == ["task.succeeded"], "it is there to be pulled"
    assert {one.endpoint_id for one in await deliveries_of(store, loud.id)} == {subscriber.id}


async def test_an_addressed_task_goes_only_where_and_when_it_says(store: Store) -> None:
    owner = await partner(store.db)
    named = await endpoint(store, owner, events=("task.cancelled",))
    await endpoint(store, owner)
    await submit(store, task_of(owner, endpoint_ids=(named.id,), events=("task.failed",)))
    await submit(store, task_of(owner, endpoint_ids=(named.id,), now_ms=NOW + 1, **INLINE))
    quiet, loud = (await claim(store)).tasks

    await finish(store, quiet)
    await finish(store, loud)

    assert await deliveries_of(store, quiet.id) == []
    assert await events_of(store, quiet.id) == ["task.succeeded"], "it is there to be pulled"
    assert {d.endpoint_id for d in await deliveries_of(store, loud.id)} == {None, named.id}


async def test_started_and_progress_are_announced_to_those_who_name_them_and_sent_once(store: Store) -> None:
    owner = await partner(store.db)
    listener = await endpoint(store, owner, events=("task.started", "task.progress"))
    await endpoint(store, owner)
    await submit(store, task_of(owner))

    task = await claim_one(store)
    await _progress(store, task)

    assert await events_of(store, task.id) == ["task.started", "task.progress"]
    made = await deliveries_of(store, task.id)
    assert [(d.endpoint_id, d.once, d.max_attempts) for d in made] == [(listener.id, True, 1)] * 2


async def test_started_and_progress_make_no_message_where_nobody_names_them(store: Store) -> None:
    owner = await partner(store.db)
    await endpoint(store, owner)
    await submit(store, task_of(owner))

    task = await claim_one(store)
    await _progress(store, task)

    assert await events_of(store, task.id) == []


async def test_an_inline_callback_may_ask_for_started(store: Store) -> None:
    task = await _running(store, **INLINE, events=("task.started", "task.succeeded"))
    await finish(store, task)

    assert {d.event for d in await deliveries_of(store, task.id)} == {"task.started", "task.succeeded"}


async def _feed(store: Store, owner: str) -> list[int]:
    def read(tx: Tx) -> list[int]:
        wanted = select(messages.c.seq).where(messages.c.partner_id == owner).order_by(messages.c.seq)
        return list(tx.conn.execute(wanted).scalars())

    return await store.db.read(read)


async def test_nothing_appears_in_a_feed_before_what_was_already_seen(
    store: Store, migrated_url: str
) -> None:
    owners = [await partner(store.db, f"p{n}") for n in range(3)]
    targets = [await endpoint(store, owner) for owner in owners]
    other = await Store.open(migrated_url, Vault([generate_key()]), Policy(session_id="ses_other"))
    writing = True
    seen: dict[str, list[int]] = {owner: [] for owner in owners}

    async def write(process: Store) -> None:
        for n in range(40):
            await asyncio.gather(*(message_to(process, t, now_ms=NOW + n) for t in targets))

    async def watch(owner: str) -> None:
        while writing:
            feed: Sequence[int] = await _feed(store, owner)
            assert feed[: len(seen[owner])] == seen[owner], "it appeared before a place already handed out"
            seen[owner] = list(feed)

    watching = [asyncio.create_task(watch(owner)) for owner in owners]
    try:
        await asyncio.gather(write(store), write(other))
    finally:
        writing = False
        await asyncio.gather(*watching)
        await other.close()

    for owner in owners:
        assert await _feed(store, owner) == list(range(1, 81)), "no gaps"
