"""How many runs store what they attached at once: a worker of hundreds of slots keeps within its memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.records import a_claimed_task
from tests.support.services import until
from webhookd.core.file_links import FileLinks
from webhookd.core.files import File, FileUsage, Stored
from webhookd.core.outcome import RetryLater
from webhookd.flows.execute.file_inputs import STORED_AT_ONCE, RunFiles
from webhookd.taskset.attaching import Attachments

RUNS = 3 * STORED_AT_ONCE


class Held:
    """A file store that is slow: it answers once it is let, and knows how many it was asked for at once."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.at_once = 0
        self.most = 0
        self.fails = False

    async def put(self, key: str, chunks: AsyncIterator[bytes], **_: Any) -> Stored:  # noqa: ARG002 -- the port's
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let.wait()
            if self.fails:
                raise OSError("the store went away")
            return Stored(size=sum([len(chunk) async for chunk in chunks]), sha256="0" * 64)
        finally:
            self.at_once -= 1

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        raise NotImplementedError


class NoRows:
    async def get_many(self, file_ids: Iterable[str], partner_id: str | None) -> dict[str, File]:  # noqa: ARG002
        return {}

    async def usage(self, partner_id: str) -> FileUsage:  # noqa: ARG002
        return FileUsage(files=0, stored_bytes=0)


class NoFetch:
    def open(self, url: str) -> AbstractAsyncContextManager[tuple[str | None, AsyncIterator[bytes]]]:
        raise NotImplementedError


def run_files(root: Path, store: Held) -> RunFiles:
    return RunFiles(
        rows=NoRows(),
        store=store,
        fetch=NoFetch(),
        links=FileLinks(lambda: (b"k" * 32,)),
        root=root,
        max_bytes=1_000,
        max_stored_bytes=1_000_000,
        keep_ms=None,
        now_ms=lambda: 0,
        new_id=lambda _: "file_1",
    )


@pytest.mark.parametrize("fails", [False, True])
async def test_few_runs_store_what_they_attached_at_once_and_all_get_their_turn(
    tmp_path: Path, *, fails: bool
) -> None:
    store = Held()
    files = run_files(tmp_path, store)
    claimed = [a_claimed_task(id=f"task_{number}") for number in range(RUNS)]
    for task in claimed:
        Attachments(Path(files.folder_name(task)), 1_000).add("a.txt", b"bytes", None)

    storing = [asyncio.ensure_future(files.store(task)) for task in claimed]
    await until(lambda: store.at_once == STORED_AT_ONCE, what="as many as may")
    assert not any(one.done() for one in storing)
    store.fails = fails
    store.let.set()
    stored = await asyncio.gather(*storing)

    assert store.most == STORED_AT_ONCE
    if fails:
        assert all(isinstance(one, RetryLater) for one in stored)
    else:
        assert [[file.size for file in one] for one in stored if isinstance(one, tuple)] == [[5]] * RUNS
