"""`/v1/files/{id}/content`: the bytes out, and in where they were announced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Send

from webhookd.adapters import entropy
from webhookd.adapters.files.faults import FileGone
from webhookd.adapters.store.files.files import get_file
from webhookd.api.answers import Answer, Headers, Sendable, json_answer
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.file_body import body_chunks, told_length
from webhookd.api.file_ranges import asked_range, is_known
from webhookd.api.file_wire import LinkQuery, links_of
from webhookd.core.errors import Conflict, FieldError, Invalid, Unauthenticated, Unavailable
from webhookd.core.file_links import Link
from webhookd.core.files import File, FileState, disposition
from webhookd.core.page_tokens import PREFIX

TURN_SECONDS: Final = 20.0
"""How long a transfer stands in its partner's line."""
SEND_BYTES: Final = 262_144
SEND_SECONDS: Final = 60.0
"""How long a reader may take nothing before the connection is cut."""
SIGNED_SECONDS: Final = 300.0
_SAFE: Final = {"Content-Security-Policy": "sandbox; default-src 'none'", "Accept-Ranges": "bytes"}


async def show_content(call: Call[None, LinkQuery]) -> Sendable:
    """`GET /v1/files/{id}/content`."""
    file = await ensured_ready(call, await _linked(call, Link.DOWNLOAD))
    etag = f'"{file.sha256}"'
    headers = {
        **_SAFE,
        "ETag": etag,
        "Content-Disposition": disposition(file.name),
        "Cache-Control": "private, no-cache",
    }
    if is_known(call.headers, etag):
        return Answer(status=304, headers=headers)
    asked = None
    if not call.only_looks:  # HEAD has no ranges (RFC 9110 section 14.2)
        asked = asked_range(call.headers, size=file.size, etag=etag)
    location = None
    if call.parts.files.presigns:
        location = await call.parts.files.get_url(file.key, SIGNED_SECONDS)
    return Content(call=call, file=file, asked=asked, headers=headers, location=location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The reply. `asked` is the range, None for all; `location` is where the store itself gives the bytes."""

    call: AnyCall
    file: File
    asked: tuple[int, int] | None
    headers: dict[str, str]
    location: str | None

    @property
    def status(self) -> int:
        """Of a request for the bytes."""
        if self.location is not None:
            return 307
        return 200 if self.asked is None else 206

    async def send_to(self, send: Send, *, more_headers: Headers, head: bool) -> None:
        """Write as much at a time as the socket takes. What breaks on the way cuts the connection."""
        if self.location is not None and not head:
            moved = Answer(status=307, headers={"Location": self.location, "Cache-Control": "no-store"})
            await moved.send_to(send, more_headers=more_headers, head=head)
            return
        start, end = self.asked or (0, self.file.size)
        told = {**self.headers, "Content-Type": self.file.content_type, "Content-Length": str(end - start)}
        if self.asked is not None:
            told["Content-Range"] = f"bytes {start}-{end - 1}/{self.file.size}"
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
        begin = {
            "type": "http.response.start",
            "status": 200 if self.asked is None else 206,
            "headers": [*headers, *more_headers],
        }
        if head:
            await send(begin)
            await _write(send, b"", more=False)
            return
        async with transfer(self.call, self.file.partner_id):
            parts = self.call.parts.files.read(self.file.key, start, end)
            async with aclosing(parts):  # type: ignore[type-var]  # it is a generator
                first = await _first(parts)
                await send(begin)
                await _write(send, first)
                async for part in parts:
                    await _write(send, part)
        await _write(send, b"", more=False)


async def _first(parts: AsyncIterator[bytes]) -> bytes:
    """Read the first bytes while the answer can still be another one."""
    try:
        return await anext(parts, b"")
    except FileGone as error:
        raise Unavailable(
            "The file's bytes cannot be found just now.", retry_after_seconds=5, reason=str(error)
        ) from error


async def _write(send: Send, data: bytes, *, more: bool = True) -> None:
    for start in range(0, max(1, len(data)), SEND_BYTES):
        message = {"type": "http.response.body", "body": data[start : start + SEND_BYTES], "more_body": more}
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None


async def take_content(call: Call[None, LinkQuery]) -> Answer:
    """`PUT /v1/files/{id}/content`: the bytes of a file that was announced."""
    file = await _linked(call, Link.UPLOAD)
    require_awaited(file, call.now_ms)
    length = told_length(call.headers)
    if length is not None and length != file.size:
        raise wrong_size(file, length)
    body = body_chunks(call.receive, call.headers, max_bytes=file.size)
    async with transfer(call, file.partner_id):
        ready = await _stored(call, file, body)
    return json_answer(200, {"id": ready.id, "state": ready.state.value})


async def ensured_ready(call: AnyCall, file: File) -> File:
    """Return the file, ready: what was sent to the object store is checked now, at its first use.

    Raises Conflict where nothing was sent yet, Invalid where something else was than was announced.
    """
    if file.state is FileState.READY:
        return file
    try:
        size = await call.parts.files.size(file.key)
    except FileGone:
        raise Conflict("The file's bytes have not been sent yet.") from None
    if size != file.size:
        await call.parts.files.forget(file.key)
        raise wrong_size(file, size)
    async with transfer(call, file.partner_id):
        ready = await _stored(call, file, call.parts.files.read(file.key, 0, size))
    await call.parts.files.forget(file.key)
    return ready


async def _stored(call: AnyCall, file: File, chunks: AsyncIterator[bytes]) -> File:
    """Write the bytes under a key of this write's own, check them, and let the row name them.

    So two that send at once do not overwrite each other, and who still has the object store's signed URL
    changes nothing any more.
    """
    key = new_key(file.id)
    stored = await call.parts.files.put(
        key,
        chunks,
        max_bytes=file.size,
        content_type=file.content_type,
        disposition=disposition(file.name),
    )
    wrong = None
    if stored.size != file.size:
        wrong = wrong_size(file, stored.size)
    elif file.sha256 is not None and stored.sha256 != file.sha256:
        wrong = _wrong("sha256", "is not that of the bytes that were sent")
    if wrong is not None:
        await call.parts.files.forget(key)
        raise wrong
    ready = replace(file, state=FileState.READY, sha256=stored.sha256, key=key, upload_until_ms=None)
    finished = await call.parts.store.files.finish(ready)
    if finished is None:
        await call.parts.files.forget(key)
        return require_ready(await call.parts.store.files.get(file.id, file.partner_id))
    return finished


def require_ready(file: File | None) -> File:
    """Return a file that another request made ready. Raises NotFound, Conflict."""
    file = found(file, "file")
    if file.state is not FileState.READY:
        raise Conflict("The file is not ready.")
    return file


def require_awaited(file: File, now_ms: int) -> None:
    """Raise Conflict where no bytes are awaited."""
    if file.state is not FileState.AWAITING:
        raise Conflict("The file's bytes have been sent already.")
    if file.upload_until_ms is not None and file.upload_until_ms <= now_ms:
        raise Conflict("The time for this upload is over; announce the file again.")


@asynccontextmanager
async def transfer(call: AnyCall, owner: str) -> AsyncIterator[None]:
    """Take a turn at moving bytes. Raises RateLimited where too many of this partner wait."""
    turns = call.parts.transfers
    await turns.take(owner, patience_seconds=TURN_SECONDS)
    try:
        yield
    finally:
        turns.give_back(owner)


def new_key(file_id: str) -> str:
    """Return a key for one write of a file's bytes."""
    return f"{file_id}.{entropy.new_span_id()}"


def wrong_size(file: File, size: int) -> Invalid:
    """Return the error of bytes that are more or fewer than was announced."""
    return _wrong("size", f"is {file.size:,} bytes as announced, but {size:,} were sent")


def _wrong(field: str, message: str) -> Invalid:
    errors = [FieldError(path=f"$.{field}", message=message)]
    return Invalid("These are not the bytes that were announced.", errors=errors)


async def _linked(call: Call[None, LinkQuery], link: Link) -> File:
    """Return the file a link or a key is good for. Raises Unauthenticated, NotFound."""
    file_id, token = call.path_params["id"], call.query.token
    if token is None or token.startswith(PREFIX):  # who calls was let in
        return await call.named(get_file, "file")
    if not links_of(call).is_good(link, file_id, token, call.now_ms):
        raise Unauthenticated("The link is wrong or has expired; ask for a new one.")
    return found(await call.parts.store.files.get(file_id, None), "file")
