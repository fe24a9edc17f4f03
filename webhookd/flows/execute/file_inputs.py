"""The files of a run: those its input names are brought before it, what it attached is stored after it.

They lie in a folder of the run's own meanwhile, so that functions see plain files and nothing of a store.
Bytes are stored first and named in the transaction of the end: what a crash leaves in between is removed by
the sweep.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from webhookd.core.errors import QuotaExceeded, ServiceError, TooLarge
from webhookd.core.file_links import DOWNLOAD_MS, FileLinks, Link
from webhookd.core.files import (
    OCTETS,
    FetchFailed,
    File,
    FileKind,
    FileState,
    FileUsage,
    Stored,
    content_type_fault,
    disposition,
    name_fault,
)
from webhookd.core.outcome import Failed, Outcome, RetryLater
from webhookd.core.records import ClaimedTask
from webhookd.core.run_folder import INPUTS, Attached, Brought, Reference
from webhookd.taskset.attaching import attached_in, forget

log = structlog.get_logger(__name__)

UNFETCHED: Final = "file_not_fetched"
NOT_STORED: Final = "files_not_stored"
STORED_AT_ONCE: Final = 16
"""Runs whose files are being stored: each has a part in memory for as long as a store that stalls takes."""
_BLOCK_BYTES: Final = 1_048_576


class FileBytes(Protocol):
    """The file store."""

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        max_bytes: int,
        content_type: str,
        disposition: str,
    ) -> Stored:
        """Write; nothing is there where it fails."""
        ...

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes."""
        ...


class FileRows(Protocol):
    """The rows of files."""

    async def get_many(self, file_ids: Iterable[str], partner_id: str | None) -> dict[str, File]:
        """Return those that exist and are this partner's, by id."""
        ...

    async def usage(self, partner_id: str) -> FileUsage:
        """Return what a partner stores."""
        ...


class Fetch(Protocol):
    """What opens URLs."""

    def open(self, url: str) -> AbstractAsyncContextManager[tuple[str | None, AsyncIterator[bytes]]]:
        """Yield content type and bytes. Raises FetchFailed."""
        ...


class RunFiles:
    """Brings and stores. `root` is where the folders of runs are; `keep_ms` how long results are kept."""

    def __init__(
        self,
        *,
        rows: FileRows,
        store: FileBytes,
        fetch: Fetch,
        links: FileLinks,
        root: Path,
        max_bytes: int,
        max_stored_bytes: int,
        keep_ms: int | None,
        now_ms: Callable[[], int],
        new_id: Callable[[int], str],
    ) -> None:
        self._rows = rows
        self._store = store
        self._fetch = fetch
        self._links = links
        self._root = str(root)
        self.max_bytes = max_bytes
        self._max_stored_bytes = max_stored_bytes
        self._keep_ms = keep_ms
        self._now_ms = now_ms
        self._new_id = new_id
        self._storing = asyncio.Semaphore(STORED_AT_ONCE)

    def folder_name(self, task: ClaimedTask) -> str:
        """Return the path of this run's folder; it is made where it is needed."""
        return f"{self._root}/{task.id}.{task.token}"

    def _folder(self, task: ClaimedTask) -> Path:
        return Path(self.folder_name(task))

    async def bring(self, task: ClaimedTask, named: Iterable[Reference]) -> Outcome | None:
        """Put what the input names into the folder. Returns what the run has come to where it cannot be."""
        wanted = {one.text: one for one in named}
        if not wanted:
            return None
        try:
            brought = await self._brought(task, wanted)
        except FetchFailed as error:
            message = f"A file of the input could not be fetched: {error.code}."
            if error.code == "blocked":
                return Failed(code="url_not_allowed", message=message)
            return RetryLater(code=UNFETCHED, message=message)
        except TooLarge as error:
            return Failed(code="file_too_large", message=error.detail)
        except FileNotFoundError:
            return Failed(code="file_not_found", message="A file of the input is no longer there.")
        except (ServiceError, OSError) as error:
            log.warning("file_not_brought", task=task.id, reason=str(error))
            return RetryLater(code=UNFETCHED, message="A file of the input could not be read just now.")
        inputs = json.dumps({text: asdict(one) for text, one in brought.items()})
        await asyncio.to_thread((self._folder(task) / INPUTS).write_text, inputs)
        return None

    async def _brought(self, task: ClaimedTask, wanted: dict[str, Reference]) -> dict[str, Brought]:
        rows = await self._rows.get_many(
            [one.file_id for one in wanted.values() if one.file_id], task.partner_id
        )
        folder = self._folder(task)
        await asyncio.to_thread(lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True))
        brought = {}
        for number, (text, reference) in enumerate(wanted.items()):
            path = folder / f"input-{number}"
            if reference.url:
                async with self._fetch.open(reference.url) as (content_type, chunks):
                    size, sha256 = await _written(path, chunks, self.max_bytes)
                name, kind = _name_of(reference.url), _kind_of(content_type)
            else:
                row = rows.get(reference.file_id)
                if row is None or row.state is not FileState.READY:
                    raise FileNotFoundError(reference.file_id)
                size, sha256 = await _written(path, self._store.read(row.key, 0, row.size), row.size)
                name, kind = row.name, row.content_type
            brought[text] = Brought(path=str(path), name=name, content_type=kind, size=size, sha256=sha256)
        return brought

    async def store(self, task: ClaimedTask) -> tuple[File, ...] | Outcome:
        """Store what the function attached; return it, or what the run has come to where it cannot be."""
        if not self._folder(task).exists():  # a child has attached nothing
            return ()
        attached = await asyncio.to_thread(attached_in, self._folder(task))
        if not attached:
            return ()
        try:
            async with self._storing:
                used = await self._rows.usage(task.partner_id)
                if used.stored_bytes + sum(one.size for one in attached) > self._max_stored_bytes:
                    return Failed(
                        code=QuotaExceeded.code,
                        message="The files of this partner are as many bytes as they may be.",
                    )
                return tuple([await self._stored(task, one) for one in attached])
        except (ServiceError, OSError) as error:
            log.warning("files_not_stored", task=task.id, reason=str(error))
            return RetryLater(code=NOT_STORED, message="What the task attached could not be stored just now.")

    async def _stored(self, task: ClaimedTask, one: Attached) -> File:
        now_ms = self._now_ms()
        file_id = self._new_id(now_ms)
        key = f"{file_id}.{task.token:x}"
        stored = await self._store.put(
            key,
            _chunks(Path(one.path)),
            max_bytes=self.max_bytes,
            content_type=one.content_type,
            disposition=disposition(one.name),
        )
        until_ms = now_ms + DOWNLOAD_MS
        return File(
            id=file_id,
            partner_id=task.partner_id,
            name=one.name,
            content_type=one.content_type,
            size=stored.size,
            sha256=stored.sha256,
            state=FileState.READY,
            kind=FileKind.RESULT,
            key=key,
            created_ms=now_ms,
            task_id=task.id,
            expires_ms=None if self._keep_ms is None else now_ms + self._keep_ms,
            download_token=self._links.token(Link.DOWNLOAD, file_id, until_ms),
            download_until_ms=until_ms,
        )

    async def clear(self, task: ClaimedTask) -> None:
        """Remove the folder of this run."""
        if self._folder(task).exists():
            await asyncio.to_thread(forget, self._folder(task))


async def _written(path: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    out = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise TooLarge(f"A file of the input is larger than {max_bytes:,} bytes.")
            await asyncio.to_thread(digest.update, chunk)
            await asyncio.to_thread(out.write, chunk)
    finally:
        await asyncio.to_thread(out.close)
    return size, digest.hexdigest()


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    opened = await asyncio.to_thread(path.open, "rb")
    try:
        while block := await asyncio.to_thread(opened.read, _BLOCK_BYTES):
            yield block
    finally:
        await asyncio.to_thread(opened.close)


def _name_of(url: str) -> str:
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
    return name if not name_fault(name) else "file"


def _kind_of(content_type: str | None) -> str:
    return content_type if content_type is not None and not content_type_fault(content_type) else OCTETS
