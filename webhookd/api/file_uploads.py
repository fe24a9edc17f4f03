"""New files over HTTP: sent at once, or announced and sent to a place of their own."""

from collections.abc import AsyncIterator
from dataclasses import replace

from webhookd.adapters import entropy
from webhookd.adapters.store.files.file_rows import over_quota, read_usage
from webhookd.adapters.store.files.files import add_file
from webhookd.adapters.store.tx import Tx
from webhookd.api.answers import Answer, json_answer
from webhookd.api.call import AnyCall, Call
from webhookd.api.file_body import FORM_BYTES, FormPart, body_chunks, form_boundary, told_length, too_large
from webhookd.api.file_content import new_key, transfer
from webhookd.api.file_wire import (
    FileCreate,
    FileUpload,
    UploadDocument,
    file_answer_to,
    links_of,
    whole_file,
)
from webhookd.api.idempotency_key import REPLAYED
from webhookd.api.owners import written_with_owner
from webhookd.api.wire import NoQuery, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.errors import ClientError
from webhookd.core.file_links import UPLOAD_MS, Link, content_url
from webhookd.core.files import OCTETS, File, FileKind, FileState, content_type_fault, disposition, name_fault
from webhookd.core.times import to_rfc3339


async def upload_file(call: Call[None, FileUpload]) -> Answer:
    """`POST /v1/files`: bytes first, row second; what fails between leaves bytes for the sweep at most."""
    parts = call.parts
    partner = await call.acting_partner(call.query.partner, place="query")
    await _require_room(call, partner.id)
    file_id = entropy.new_id(ids.FILE, call.now_ms)
    key = new_key(file_id)
    async with transfer(call, partner.id):
        name, content_type, chunks = await _opened(call)
        stored = await parts.files.put(
            key,
            chunks,
            max_bytes=parts.options.files_max_bytes,
            content_type=content_type,
            disposition=disposition(name),
        )
    file = File(
        id=file_id,
        partner_id=partner.id,
        name=name,
        content_type=content_type,
        size=stored.size,
        sha256=stored.sha256,
        state=FileState.READY,
        kind=FileKind.INPUT,
        key=key,
        created_ms=call.now_ms,
        expires_ms=_expiry(call),
    )
    same = {"name": name, "content_type": content_type, "sha256": stored.sha256, "partner": partner.id}
    try:
        answer = await replace(call, json=same).once(lambda tx: _added(call, tx, file))
    except ClientError:
        await parts.files.forget(key)
        raise
    if REPLAYED in answer.headers:
        await parts.files.forget(key)
    return file_answer_to(call.caller, answer)


async def announce_file(call: Call[FileCreate, NoQuery]) -> Answer:
    """`POST /v1/files/uploads`: its size counts from now on."""
    parts, body = call.parts, call.body
    partner = await call.acting_partner(body.partner)
    if body.size > parts.options.files_max_bytes:
        raise too_large(parts.options.files_max_bytes)
    file_id = entropy.new_id(ids.FILE, call.now_ms)
    until_ms = call.now_ms + UPLOAD_MS
    file = File(
        id=file_id,
        partner_id=partner.id,
        name=body.name,
        content_type=body.content_type,
        size=body.size,
        sha256=body.sha256,
        state=FileState.AWAITING,
        kind=FileKind.INPUT,
        key=f"{file_id}.upload",
        created_ms=call.now_ms,
        expires_ms=_expiry(call),
        upload_until_ms=until_ms,
    )
    if parts.files.presigns:
        url = await parts.files.put_url(file.key, UPLOAD_MS / 1000)
    else:
        token = links_of(call).token(Link.UPLOAD, file_id, until_ms)
        url = f"{content_url(file_id, parts.options.base_url)}?token={token}"
    place: UploadDocument = {
        "method": "PUT",
        "url": url,
        "headers": {"Content-Type": body.content_type},
        "expires_at": to_rfc3339(until_ms),
    }

    def effect(tx: Tx) -> Answer:
        _write_down(call, tx, file)
        shown = written_with_owner(call, tx, file, whole_file(call, file))
        return json_answer(201, {"file": shown, "upload": place}, call.located(f"/v1/files/{file.id}"))

    return file_answer_to(call.caller, await call.once(effect))


async def _opened(call: Call[None, FileUpload]) -> tuple[str, str, AsyncIterator[bytes]]:
    """Return name, content type and bytes of what is sent. Raises Invalid."""
    content_type = call.header(b"content-type") or OCTETS
    max_bytes = call.parts.options.files_max_bytes
    boundary = form_boundary(content_type)
    name = call.query.name
    if boundary is None:
        chunks = body_chunks(call.receive, call.headers, max_bytes=max_bytes)
    else:
        part = FormPart(body_chunks(call.receive, call.headers, max_bytes=max_bytes + FORM_BYTES), boundary)
        filename, told_type = await part.open()
        name, content_type, chunks = name or filename, told_type or OCTETS, part.chunks()
    if name is None:
        raise unknown_or_wrong("query", "name", "is required")
    if fault := name_fault(name):
        raise unknown_or_wrong("query", "name", fault)
    if fault := content_type_fault(content_type):
        raise unknown_or_wrong("body", "content_type", fault)
    return name, content_type, chunks


async def _require_room(call: AnyCall, partner_id: str) -> None:
    """Refuse at once what would be refused in the end. Raises TooLarge, QuotaExceeded.

    What no file may be is told before what this partner has no room for: only the latter can pass. Of a form
    nobody knows how much of it is the file.
    """
    options, size = call.parts.options, told_length(call.headers) or 0
    if form_boundary(call.header(b"content-type") or OCTETS) is not None:
        size -= FORM_BYTES
    if size > options.files_max_bytes:
        raise too_large(options.files_max_bytes)
    used = await call.read(read_usage, partner_id)
    if used.stored_bytes + max(0, size) > options.partner_max_file_bytes:
        raise over_quota(options.partner_max_file_bytes)


def _added(call: AnyCall, tx: Tx, file: File) -> Answer:
    _write_down(call, tx, file)
    shown = written_with_owner(call, tx, file, whole_file(call, file))
    return json_answer(201, shown, call.located(f"/v1/files/{file.id}"))


def _write_down(call: AnyCall, tx: Tx, file: File) -> None:
    add_file(tx, file, call.parts.options.partner_max_file_bytes)
    call.audit(tx, "file.create", file.id, partner_id=file.partner_id, detail={"size": file.size})


def _expiry(call: AnyCall) -> int | None:
    keep_ms = call.parts.options.files_keep_ms
    return None if keep_ms is None else call.now_ms + keep_ms
