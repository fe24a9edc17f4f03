"""Taking tasks in: what is written once, whoever repeats it, and what counts it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from tests.support.seeds import NOW, partner
from tests.support.work import (
    TRACE,
    assert_counters_are_true,
    claim_one,
    kept_depths,
    look,
    submission_of,
    submit,
    task_of,
)
from webhookd.adapters.store.access.idempotency import KeyedRequest
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Policy
from webhookd.adapters.vault import Vault, generate_key
from webhookd.core.errors import IdempotencyMismatch
from webhookd.core.model import Priority, TaskState

DAY = 86_400_000


@pytest.fixture
async def other_process(store: Store, migrated_url: str) -> AsyncIterator[Store]:
    """The same database, as a second process sees it."""
    opened = await Store.open(migrated_url, Vault([generate_key()]), Policy(session_id="ses_other"))
    yield opened
    await opened.close()


async def test_an_accepted_task_has_everything_that_was_submitted(store: Store) -> None:
    owner = await partner(store.db)
    new = task_of(
        owner,
        priority=Priority.HIGH,
        metadata_json='{"z":"1","a":"2"}',
        callback_url="https://partner.example/hooks",
        callback_origin="https://partner.example",
        endpoint_ids=("ep_1", "ep_2"),
        events=("task.failed",),
        expires_ms=NOW + DAY,
        trace=replace(TRACE, state="vendor=1"),
    )

    await submit(store, new)

    task = await look(store, new.id)
    assert (task.state, task.version, task.attempts) == (TaskState.QUEUED, 1, 0)
    for name in (
        "id", "partner_id", "type", "queue", "priority", "max_attempts", "metadata_json", "callback_url",
        "callback_origin", "endpoint_ids", "events", "expires_ms", "created_ms", "due_ms", "trace",
    ):  # fmt: skip
        assert getattr(task, name) == getattr(new, name), name


async def test_a_task_for_later_is_born_scheduled_and_counted_so(store: Store) -> None:
    owner = await partner(store.db)
    await submit(
        store, task_of(owner), task_of(owner, scheduled=True, due_ms=NOW + 5_000, run_at_ms=NOW + 5_000)
    )

    assert await kept_depths(store) == {"default": {"scheduled": 1, "queued": 1, "running": 0, "finished": 0}}
    assert await store.queues.partner_queued() == {owner: 2}
    await assert_counters_are_true(store)


async def test_a_repeat_with_the_same_key_is_the_first_request_again(store: Store) -> None:
    owner = await partner(store.db)
    first = submission_of(task_of(owner), task_of(owner), key="k")
    repeat = submission_of(task_of(owner), task_of(owner), key="k")

    made = await store.tasks.submit(first)
    again = await store.tasks.submit(repeat)

    assert (made.replayed, again.replayed) == (False, True)
    assert again.task_ids == made.task_ids == tuple(task.id for task in first.tasks)
    assert await store.tasks.get(repeat.tasks[0].id, None) is None
    await assert_counters_are_true(store)


async def test_repeats_that_arrive_together_make_one_task(store: Store) -> None:
    owner = await partner(store.db)
    repeats = [submission_of(task_of(owner), key="k") for _ in range(20)]

    answers = await asyncio.gather(*map(store.tasks.submit, repeats))

    assert len({answer.task_ids for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert (await kept_depths(store))["default"]["queued"] == 1


async def test_repeats_at_two_processes_make_one_task(store: Store, other_process: Store) -> None:
    owner = await partner(store.db)
    keys = [f"k{n}" for n in range(30)]
    pairs = [(s, submission_of(task_of(owner), key=key)) for key in keys for s in (store, other_process)]

    answers = await asyncio.gather(*(process.tasks.submit(one) for process, one in pairs))

    by_key = [(answers[2 * n], answers[2 * n + 1]) for n in range(len(keys))]
    assert all(a.task_ids == b.task_ids and {a.replayed, b.replayed} == {True, False} for a, b in by_key)
    assert (await kept_depths(store))["default"]["queued"] == len(keys)
    await assert_counters_are_true(store)


async def test_the_same_key_with_another_body_is_refused_and_harms_nobody_else(store: Store) -> None:
    owner = await partner(store.db)
    good = submission_of(task_of(owner), key="k")
    wrong = submission_of(task_of(owner), key="k", fingerprint="other")
    bystander = submission_of(task_of(owner))

    results = await asyncio.gather(*map(store.tasks.submit, (good, wrong, bystander)), return_exceptions=True)

    assert isinstance(results[1], IdempotencyMismatch)
    assert not isinstance(results[0], BaseException)
    assert not isinstance(results[2], BaseException)
    with pytest.raises(IdempotencyMismatch):
        await store.tasks.submit(wrong)
    assert (await kept_depths(store))["default"]["queued"] == 2


async def test_a_key_belongs_to_its_partner(store: Store) -> None:
    one, other = await partner(store.db, "one"), await partner(store.db, "other")
    mine = await store.tasks.submit(submission_of(task_of(one), key="k"))
    theirs = await store.tasks.submit(submission_of(task_of(other), key="k", fingerprint="other"))

    assert not theirs.replayed
    assert mine.task_ids != theirs.task_ids


async def test_a_key_is_free_again_after_it_was_kept_long_enough(store: Store) -> None:
    owner = await partner(store.db)
    await store.tasks.submit(submission_of(task_of(owner), key="k"))

    kept = await store.tasks.submit(submission_of(task_of(owner), key="k", now_ms=NOW + DAY))
    fresh = await store.tasks.submit(
        submission_of(task_of(owner), key="k", fingerprint="other", now_ms=NOW + DAY + 1)
    )

    assert (kept.replayed, fresh.replayed) == (True, False)


async def test_a_key_that_another_route_used_is_refused(store: Store) -> None:
    owner = await partner(store.db)
    request = KeyedRequest(owner=owner, key="k", fingerprint="POST /v1/endpoints", now_ms=NOW)
    await store.idempotency.once(request, lambda _: b"made")

    with pytest.raises(IdempotencyMismatch):
        await store.tasks.submit(submission_of(task_of(owner), key="k"))


async def test_the_outcome_of_a_batch_is_kept_for_its_repeat(store: Store) -> None:
    owner = await partner(store.db)
    first = submission_of(task_of(owner), key="k")
    await store.tasks.submit(first)

    again = await store.tasks.submit(submission_of(task_of(owner), key="k"))

    assert orjson.loads(again.outcome or "")["tasks"] == [first.tasks[0].id]


async def test_a_refused_submission_leaves_its_key_unused(store: Store) -> None:
    owner = await partner(store.db)
    twice = task_of(owner)

    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.tasks.submit(submission_of(twice, twice, key="k"))

    assert not (await store.tasks.submit(submission_of(task_of(owner), key="k", fingerprint="new"))).replayed


@pytest.mark.parametrize("text", ['"\\u0001 \\u2028 \U0001f600 \'"', '"' + "x" * 250_000 + '"'])
async def test_input_comes_back_byte_by_byte(store: Store, text: str) -> None:
    owner = await partner(store.db)
    new = task_of(owner, input_json=f'{{"z": {text},  "a":1.0}}')
    await submit(store, new)

    assert (await claim_one(store)).input_json == new.input_json
