"""Writing, reading, listing and removing the bytes of files, with flat memory whatever their size.

A write is atomic: its key shows all of the bytes or is not there. In a folder it is on the disk (fsync) when
`put` returns; an object store promises that itself.

Reads go by ranges of READ_BYTES, each a request of its own: a slow reader then holds no connection to the
store, and no time-out of one request limits how long a download may take.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
import structlog
from obstore.store import AzureStore, GCSStore, S3Store

from webhookd.adapters.files.faults import as_ours
from webhookd.adapters.files.folder import Folder
from webhookd.core.errors import ServiceError, TooLarge
from webhookd.core.files import Stored, StoredEntry

if TYPE_CHECKING:
    from obstore import AsyncWritableFile, Attributes
    from obstore.store import ObjectStore

log = structlog.get_logger(__name__)

BLOCK_BYTES: Final = 1_048_576
"""Hashed and handed on at a time."""
READ_BYTES: Final = 4_194_304
MIN_PART_BYTES: Final = 5 * 1_048_576
MAX_PARTS: Final = 9_000
"""S3 takes parts of at least 5 MiB, and at most 10,000 of them."""
PARTS_AT_ONCE: Final = 1
CALL_SECONDS: Final = 30.0
"""The longest that one call of the store may take: a part, a range, a removal."""
UNDO_SECONDS: Final = 5.0
"""The longest that undoing what failed may keep an answer waiting."""
LISTED_AT_ONCE: Final = 500


class Bucket:
    """The place of all files. Errors: Unavailable where the store is away, Overloaded where it is full."""

    def __init__(self, store: "ObjectStore", *, folder: Folder | None) -> None:
        self._store = store
        self._folder = folder

    @property
    def presigns(self) -> bool:
        """Whether the store can be talked to directly by whoever has a signed URL."""
        return isinstance(self._store, S3Store | GCSStore | AzureStore)

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        max_bytes: int,
        content_type: str = "application/octet-stream",
        disposition: str = "attachment",
    ) -> Stored:
        """Write what `chunks` yields, counted and hashed on the way; nothing is there where it fails.

        Raises TooLarge past `max_bytes`, and whatever `chunks` raises. An object store is told type and
        disposition, because it serves the object itself to whoever has a signed URL.
        """
        tally = _Measure(max_bytes)
        writer = self._writer(key, max_bytes, content_type, disposition)
        try:
            async for block in _blocks(chunks):
                await asyncio.to_thread(tally.add, block)  # off the loop: hashlib gives up the GIL
                async with as_ours(CALL_SECONDS):
                    await writer.write(block)
            async with as_ours(CALL_SECONDS):
                await writer.close()
                if self._folder is not None:
                    await asyncio.to_thread(self._folder.settle, key)
        except BaseException:
            await asyncio.shield(self._undo(writer, key))
            raise
        return tally.stored()

    def _writer(self, key: str, max_bytes: int, content_type: str, disposition: str) -> "AsyncWritableFile":
        attributes: Attributes | None = None
        if self.presigns:
            attributes = {"Content-Type": content_type, "Content-Disposition": disposition}
        return obstore.open_writer_async(
            self._store,
            key,
            attributes=attributes,
            buffer_size=max(MIN_PART_BYTES, -(-max_bytes // MAX_PARTS)),
            max_concurrency=PARTS_AT_ONCE,
        )

    async def _undo(self, writer: "AsyncWritableFile", key: str) -> None:
        """Leave neither parts nor the key. What cannot be undone now is the sweep's."""
        try:
            async with as_ours(UNDO_SECONDS):
                if await writer.closed():
                    await obstore.delete_async(self._store, key)
                else:
                    await writer.__aexit__(OSError, None, None)  # aborts
        except Exception:  # noqa: BLE001 - the cause is what is told; the sweep removes what stays
            return

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to `end` (exclusive; None is the end). Raises FileGone."""
        if end is None:
            end = await self.size(key)
        while start < end:
            stop = min(end, start + READ_BYTES)
            async with as_ours(CALL_SECONDS):
                view = memoryview(await obstore.get_range_async(self._store, key, start=start, end=stop))
                if len(view) != stop - start:
                    raise EOFError(f"the stored file ends at {start + len(view)} bytes, not at {end}")
            yield bytes(view)
            start = stop

    async def size(self, key: str) -> int:
        """Return how many bytes there are. Raises FileGone where there is no such key."""
        async with as_ours(CALL_SECONDS):
            return (await obstore.head_async(self._store, key))["size"]

    async def forget(self, key: str) -> None:
        """Remove bytes that no row names. What cannot be removed soon is the sweep's."""
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await self.remove([key])
        except (ServiceError, TimeoutError) as error:
            log.warning("file_bytes_left", reason=str(error) or "the file store does not answer in time")

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove; a key that is not there is no error."""
        for key in keys:
            try:
                async with as_ours(CALL_SECONDS):
                    await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue

    async def entries(self) -> AsyncIterator[Iterable[StoredEntry]]:
        """Yield what is there, some hundred at a time."""
        stream = obstore.list(self._store, chunk_size=LISTED_AT_ONCE)
        while True:
            async with as_ours(CALL_SECONDS):
                try:
                    found = await anext(stream)
                except StopAsyncIteration:
                    return
            yield [
                StoredEntry(
                    key=one["path"],
                    size=one["size"],
                    modified_ms=int(one["last_modified"].timestamp() * 1000),
                )
                for one in found
            ]

    async def remove_unfinished(self, before_ms: int) -> int:
        """Remove what writes that were cut off have left in a folder; return how many.

        An object store forgets them by a rule of its own for incomplete uploads.
        """
        return 0 if self._folder is None else await asyncio.to_thread(self._folder.remove_staged, before_ms)

    async def put_url(self, key: str, seconds: float) -> str:
        """Return a URL that takes the bytes of this key by PUT. Only where the store presigns."""
        return await self._sign("PUT", key, seconds)

    async def get_url(self, key: str, seconds: float) -> str:
        """Return a URL that gives the bytes of this key. Only where the store presigns."""
        return await self._sign("GET", key, seconds)

    async def _sign(self, method: str, key: str, seconds: float) -> str:
        async with as_ours(CALL_SECONDS):
            return await obstore.sign_async(self._store, method, key, timedelta(seconds=seconds))  # type: ignore[call-overload,no-any-return]  # the callers have asked `presigns`


class _Measure:
    """Counts and hashes what goes by."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._digest = hashlib.sha256()

    def add(self, block: bytes) -> None:
        self._size += len(block)
        if self._size > self._max_bytes:
            raise TooLarge(f"The file is larger than {self._max_bytes} bytes.")
        self._digest.update(block)

    def stored(self) -> Stored:
        return Stored(size=self._size, sha256=self._digest.hexdigest())


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather small chunks to blocks, and cut large ones."""
    gathered = bytearray()
    async for chunk in chunks:
        view = memoryview(chunk)
        while view:
            room = BLOCK_BYTES - len(gathered)
            gathered += view[:room]
            view = view[room:]
            if len(gathered) == BLOCK_BYTES:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)
