"""The rows of files: what a partner stores, what tasks need, and what the sweep may remove."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import func, select

from tests.support.seeds import KEEP_ALL, NOW, partner
from tests.support.work import claim_one, finish, look, replay, submit, task_of
from webhookd.adapters.entropy import new_id
from webhookd.adapters.files import Bucket, open_bucket
from webhookd.adapters.store.schema import file_usage, files
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tx import Tx
from webhookd.adapters.store.upkeep.retention import Retention
from webhookd.core import ids
from webhookd.core.errors import Conflict, QuotaExceeded
from webhookd.core.execution import End
from webhookd.core.files import File, FileFilter, FileKind, FileState, FileUsage
from webhookd.core.records import Bounds
from webhookd.flows.sweep_files import SPARED_MS, FileSweeper

ROOM = 1 << 40
LATER = NOW + 2 * SPARED_MS


def file_of(partner_id: str, **changes: Any) -> File:
    file_id = new_id(ids.FILE, NOW)
    plain = File(
        id=file_id,
        partner_id=partner_id,
        name="photo.jpg",
        content_type="image/jpeg",
        size=100,
        sha256="ab" * 32,
        state=FileState.READY,
        kind=FileKind.INPUT,
        key=f"{file_id}.a",
        created_ms=NOW,
    )
    return replace(plain, **changes)


def awaited(partner_id: str, **changes: Any) -> File:
    return file_of(partner_id, state=FileState.AWAITING, sha256=None, upload_until_ms=NOW + 1, **changes)


def result_of(task: Any, name: str, size: int = 10) -> File:
    return file_of(task.partner_id, name=name, size=size, kind=FileKind.RESULT, task_id=task.id)


async def added(store: Store, file: File) -> File:
    await store.files.add(file, ROOM)
    return file


async def one_byte() -> AsyncIterator[bytes]:
    yield b"x"


async def keys(bucket: Bucket) -> set[str]:
    return {entry.key async for entries in bucket.entries() for entry in entries}


async def assert_usage_is_true(store: Store) -> None:
    """The maintained sums equal a full count."""

    def read(tx: Tx) -> tuple[set[Any], set[Any]]:
        counted = select(files.c.partner_id, func.count(), func.sum(files.c.size)).group_by(
            files.c.partner_id
        )
        kept = select(file_usage).where(file_usage.c.stored_files > 0)
        return {tuple(row) for row in tx.conn.execute(counted)}, {tuple(row) for row in tx.conn.execute(kept)}

    counted, kept = await store.db.read(read)
    assert counted == kept


async def test_a_file_is_its_partner_s_alone(store: Store) -> None:
    ours, theirs = await partner(store.db), await partner(store.db, "other")
    file = await added(store, file_of(ours))

    assert await store.files.get(file.id, ours) == await store.files.get(file.id, None) == file
    assert await store.files.get(file.id, theirs) is None
    assert await store.files.get_many([file.id], theirs) == {}
    assert await store.files.delete(file.id, theirs) is None
    assert await store.files.page(theirs, FileFilter(), Bounds()) == ([], None)


async def test_files_are_listed_newest_first_by_kind_and_by_task(store: Store) -> None:
    owner = await partner(store.db)
    taken = await added(store, file_of(owner))
    other = await added(store, file_of(owner))
    (task_id,) = await submit(store, task_of(owner, file_ids=(taken.id,)))
    made = result_of(await claim_one(store), "a.pdf")
    await store.files.add(made, ROOM)

    async def found(**wanted: Any) -> set[str]:
        page, _ = await store.files.page(owner, FileFilter(**wanted), Bounds())
        return {file.id for file in page}

    assert await found() == {taken.id, other.id, made.id}
    assert await found(kind=FileKind.RESULT) == {made.id}
    assert await found(task_id=task_id) == {taken.id, made.id}
    assert await found(task_id=task_id, kind=FileKind.INPUT) == {taken.id}
    page, cursor = await store.files.page(owner, FileFilter(), Bounds(limit=2))
    rest, end = await store.files.page(owner, FileFilter(), Bounds(limit=2, cursor=cursor))
    assert [file.id for file in page + rest] == sorted(await found(), reverse=True)
    assert end is None


async def test_a_partner_stores_no_more_than_its_quota(store: Store) -> None:
    owner = await partner(store.db)
    first = file_of(owner, size=60)
    await store.files.add(first, 100)

    with pytest.raises(QuotaExceeded) as caught:
        await store.files.add(file_of(owner, size=41), 100)
    assert caught.value.retry_after_seconds
    await store.files.add(file_of(owner, size=40), 100)
    await store.files.delete(first.id, owner)

    assert await store.files.usage(owner) == FileUsage(files=1, stored_bytes=40)
    await assert_usage_is_true(store)


async def test_an_awaited_file_becomes_ready_once(store: Store) -> None:
    owner = await partner(store.db)
    file = await added(store, awaited(owner))
    ready = replace(file, state=FileState.READY, sha256="cd" * 32, key=f"{file.id}.b", upload_until_ms=None)

    assert await store.files.finish(ready) == ready
    assert await store.files.finish(replace(ready, key=f"{file.id}.c")) is None
    assert await store.files.get(file.id, owner) == ready


async def test_a_file_stays_while_a_task_that_has_not_ended_needs_it(store: Store) -> None:
    owner = await partner(store.db)
    file = await added(store, file_of(owner, expires_ms=NOW + 1))
    await submit(store, task_of(owner, file_ids=(file.id,)))

    with pytest.raises(Conflict):
        await store.files.delete(file.id, owner)
    assert await store.files.drop_late(LATER, SPARED_MS) == []

    await finish(store, await claim_one(store))
    assert await store.files.delete(file.id, owner) == replace(file, expires_ms=LATER + SPARED_MS)
    await assert_usage_is_true(store)


async def test_what_a_function_attached_shows_with_the_end_and_is_replaced_by_a_later_run(
    store: Store,
) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))
    claimed = await claim_one(store)
    first = result_of(claimed, "a.pdf")
    linked = replace(first, download_token="t", download_until_ms=NOW)
    await finish(store, claimed, End.FAILED, files=(linked,))
    assert (await look(store, task_id)).files == (linked,)
    assert await store.files.get(first.id, owner) == first

    await replay(store, task_id, owner)
    assert (await look(store, task_id)).files == ()
    claimed = await claim_one(store)
    second = result_of(claimed, "a.pdf", size=7)
    await finish(store, claimed, files=(second,))

    assert (await look(store, task_id)).files == (second,)
    assert await store.files.get(first.id, owner) is None
    await assert_usage_is_true(store)


async def test_a_try_that_is_to_be_repeated_leaves_no_files(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))
    claimed = await claim_one(store)
    await finish(store, claimed, End.RETRY, files=(result_of(claimed, "a.pdf"),), due_ms=NOW)

    assert (await look(store, task_id)).files == ()
    assert await store.files.usage(owner) == FileUsage(files=0, stored_bytes=0)


async def test_a_result_that_was_deleted_is_no_longer_shown(store: Store) -> None:
    owner = await partner(store.db)
    (task_id,) = await submit(store, task_of(owner))
    claimed = await claim_one(store)
    gone, kept = result_of(claimed, "a.pdf"), result_of(claimed, "b.pdf")
    await finish(store, claimed, files=(gone, kept))

    await store.files.delete(gone.id, owner)

    assert (await look(store, task_id)).files == (kept,)
    await assert_usage_is_true(store)


async def test_files_go_with_their_tasks_but_not_one_that_another_task_takes(store: Store) -> None:
    owner = await partner(store.db)
    alone, shared = await added(store, file_of(owner)), await added(store, file_of(owner))
    await submit(store, task_of(owner, file_ids=(alone.id, shared.id)))
    claimed = await claim_one(store)
    made = result_of(claimed, "a.pdf")
    await finish(store, claimed, files=(made,))
    await submit(store, task_of(owner, now_ms=LATER, file_ids=(shared.id,)), now_ms=LATER)

    walker = Retention(store.db, replace(KEEP_ALL, tasks_ms=1))
    while await walker.step(LATER):
        pass

    found, _ = await store.files.page(owner, FileFilter(), Bounds())
    assert [file.id for file in found] == [shared.id]
    await assert_usage_is_true(store)


async def test_the_sweep_removes_what_is_past_its_time_with_its_bytes(store: Store, tmp_path: Path) -> None:
    owner = await partner(store.db)
    bucket = open_bucket(f"file://{quote(str(tmp_path / 'files'))}")
    kept = await added(store, file_of(owner))
    for file in (
        kept,
        await added(store, file_of(owner, expires_ms=NOW)),
        await added(store, awaited(owner)),
    ):
        await bucket.put(file.key, one_byte(), max_bytes=1)
    sweeper = FileSweeper(rows=store.files, store=bucket, now_ms=lambda: LATER)

    await sweeper.drop_late()

    assert await keys(bucket) == {kept.key}
    assert await store.files.usage(owner) == FileUsage(files=1, stored_bytes=100)


async def test_the_sweep_removes_old_bytes_that_no_row_names_and_none_else(
    store: Store, tmp_path: Path
) -> None:
    owner = await partner(store.db)
    bucket = open_bucket(f"file://{quote(str(tmp_path / 'files'))}")
    named = await added(store, file_of(owner))
    waiting = await added(store, awaited(owner, key=f"{new_id(ids.FILE, NOW)}.upload"))
    orphan, beside = file_of(owner).key, f"{named.id}.other-write"
    for key in (named.key, orphan, beside, "not-ours"):
        await bucket.put(key, one_byte(), max_bytes=1)
    far = int(time.time() * 1000) + 2 * SPARED_MS

    await FileSweeper(rows=store.files, store=bucket, now_ms=lambda: NOW).drop_orphans()
    assert await keys(bucket) == {named.key, orphan, beside, "not-ours"}
    await FileSweeper(rows=store.files, store=bucket, now_ms=lambda: far).drop_orphans()

    assert await keys(bucket) == {named.key, "not-ours"}
    assert await store.files.get(waiting.id, owner) == waiting
