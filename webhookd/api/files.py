"""Files over HTTP: upload, announce, look, list, delete. Their bytes are `file_content`'s."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from webhookd.adapters import entropy
from webhookd.adapters.store.files.file_rows import over_quota
from webhookd.adapters.store.files.files import add_file, delete_file
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, removes, shows
from webhookd.api.call import AnyCall, Call, found
from webhookd.api.file_body import FORM_BYTES, FormPart, body_chunks, form_boundary, told_length
from webhookd.api.file_content import (
    ensured_ready,
    new_key,
    show_content,
    take_content,
    transfer,
)
from webhookd.api.file_wire import (
    AnnouncedFileDocument,
    FileCreate,
    FileListing,
    FileReceiptDocument,
    FileUpload,
    LinkQuery,
    UploadDocument,
    WrittenFile,
    links_of,
    shown_file,
)
from webhookd.api.granted import FILE
from webhookd.api.idempotency_key import REPLAYED
from webhookd.api.owners import with_owner, with_owners, written_with_owner
from webhookd.api.wire import NoBody, NoQuery, unknown_or_wrong
from webhookd.core import ids
from webhookd.core.errors import ClientError, TooLarge
from webhookd.core.file_links import UPLOAD_MS, Link, content_url
from webhookd.core.files import (
    OCTETS,
    File,
    FileFilter,
    FileKind,
    FileState,
    content_type_fault,
    disposition,
    name_fault,
)
from webhookd.core.render import FileDocument
from webhookd.core.times import to_rfc3339


async def upload_file(call: Call[None, FileUpload]) -> Answer:
    """`POST /v1/files`: bytes first, row second; what fails between leaves bytes for the sweep at most."""
    parts = call.parts
    partner = await call.acting_partner(call.query.partner, place="query")
    await _require_room(call, partner.id, told_length(call.headers) or 0)
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
    return answer


async def announce_file(call: Call[FileCreate, NoQuery]) -> Answer:
    """`POST /v1/files/uploads`: its size counts from now on."""
    parts, body = call.parts, call.body
    partner = await call.acting_partner(body.partner)
    if body.size > parts.options.files_max_bytes:
        raise TooLarge(f"A file may be {parts.options.files_max_bytes:,} bytes.")
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
        shown = written_with_owner(call, tx, file, shown_file(call, file))
        return json_answer(201, {"file": shown, "upload": place}, call.located(f"/v1/files/{file.id}"))

    return await call.once(effect)


async def complete_file(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/files/{id}/complete`."""
    file = await _file(call)
    return json_answer(200, await with_owner(call, file, shown_file(call, await ensured_ready(call, file))))


async def show_file(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/files/{id}`."""
    file = await _file(call)
    return json_answer(200, await with_owner(call, file, shown_file(call, file)))


async def list_files(call: Call[None, FileListing]) -> Answer:
    """`GET /v1/files`."""
    query = call.query
    wanted = FileFilter(task_id=query.task, kind=query.kind)
    page, cursor = await call.read(
        call.parts.store.files.page, await call.narrowed(query.partner), wanted, query.page
    )
    documents = await with_owners(call, page, [shown_file(call, file) for file in page])
    return page_answer(documents, cursor)


async def remove_file(call: Call[None, NoQuery]) -> Answer:
    """`DELETE /v1/files/{id}`: row first, bytes second."""
    file_id, partner_id = call.path_params["id"], call.caller.partner_id
    deleted: list[File] = []

    def effect(tx: Tx) -> Answer:
        file = found(delete_file(tx, file_id, partner_id), "file")
        deleted[:] = [file]
        call.audit(tx, "file.delete", file.id, partner_id=file.partner_id)
        return Answer(status=204)

    answer = await call.once(effect)
    for file in deleted:
        await call.parts.files.forget(file.key)
    return answer


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


async def _require_room(call: AnyCall, partner_id: str, size: int) -> None:
    """Refuse at once what the row would be refused for in the end. Raises QuotaExceeded."""
    most = call.parts.options.partner_max_file_bytes
    used = await call.read(call.parts.store.files.usage, partner_id)
    if used.stored_bytes + size > most:
        raise over_quota(most)


def _added(call: AnyCall, tx: Tx, file: File) -> Answer:
    _write_down(call, tx, file)
    shown = written_with_owner(call, tx, file, shown_file(call, file))
    return json_answer(201, shown, call.located(f"/v1/files/{file.id}"))


def _write_down(call: AnyCall, tx: Tx, file: File) -> None:
    add_file(tx, file, call.parts.options.partner_max_file_bytes)
    call.audit(tx, "file.create", file.id, partner_id=file.partner_id, detail={"size": file.size})


def _expiry(call: AnyCall) -> int | None:
    keep_ms = call.parts.options.files_keep_ms
    return None if keep_ms is None else call.now_ms + keep_ms


async def _file(call: AnyCall) -> File:
    return found(
        await call.read(call.parts.store.files.get, call.path_params["id"], call.caller.partner_id), "file"
    )


_CONTENT: Final = ("ETag", "Content-Disposition", "Accept-Ranges", "Content-Security-Policy", "Cache-Control")
ROUTES: Final[tuple[AnyRoute, ...]] = (
    ApiRoute(
        method="POST",
        path="/v1/files",
        handler=upload_file,
        id="uploadFile",
        tag="Files",
        summary="Upload a file",
        access="files:write",
        query=FileUpload,
        streams="the bytes, with their Content-Type, or a form of one part",
        answers={201: Returned(WrittenFile, "It is stored.", ("Location",))},
    ),
    ApiRoute(
        method="POST",
        path="/v1/files/uploads",
        handler=announce_file,
        id="announceFile",
        tag="Files",
        summary="Announce a file, and learn where to send it",
        access="files:write",
        query=NoQuery,
        body=FileCreate,
        answers={201: Returned(AnnouncedFileDocument, "Send the bytes to `upload`.", ("Location",))},
    ),
    ApiRoute(
        method="POST",
        path="/v1/files/{id}/complete",
        path_example=example_ids.FILE_ID,
        handler=complete_file,
        id="completeFile",
        tag="Files",
        summary="Check a file that was sent",
        access="files:write",
        query=NoQuery,
        body=NoBody,
        may_be_empty=True,
        conflicts=True,
        answers=shows(WrittenFile),
    ),
    ApiRoute(
        method="GET",
        path="/v1/files",
        handler=list_files,
        id="listFiles",
        tag="Files",
        summary="List files",
        access="files:read",
        query=FileListing,
        answers=lists(FileDocument),
    ),
    ApiRoute(
        method="GET",
        path="/v1/files/{id}",
        path_example=example_ids.FILE_ID,
        handler=show_file,
        id="getFile",
        tag="Files",
        summary="Look at a file",
        access="files:read",
        token_reads=FILE,
        query=NoQuery,
        answers=shows(FileDocument),
    ),
    ApiRoute(
        method="DELETE",
        path="/v1/files/{id}",
        path_example=example_ids.FILE_ID,
        handler=remove_file,
        id="deleteFile",
        tag="Files",
        summary="Delete a file",
        access="files:write",
        query=NoQuery,
        conflicts=True,
        answers=removes(),
    ),
    ApiRoute(
        method="GET",
        path="/v1/files/{id}/content",
        path_example=example_ids.FILE_ID,
        handler=show_content,
        id="getFileContent",
        tag="Files",
        summary="Download a file",
        access="files:read",
        by_link=True,
        token_reads=FILE,
        token_in_query=True,
        query=LinkQuery,
        headers=("Range", "If-Range", "If-None-Match"),
        conflicts=True,
        answers={
            200: Returned(None, "The bytes.", _CONTENT, media=OCTETS),
            206: Returned(None, "The bytes of the range.", (*_CONTENT, "Content-Range"), media=OCTETS),
            304: Returned(None, "It is the version had before.", ("ETag",), media=None),
            307: Returned(None, "The object store has the bytes.", ("Location",), media=None),
        },
    ),
    ApiRoute(
        method="PUT",
        path="/v1/files/{id}/content",
        path_example=example_ids.FILE_ID,
        handler=take_content,
        id="putFileContent",
        tag="Files",
        summary="Send the bytes of a file that was announced",
        access="files:write",
        by_link=True,
        query=LinkQuery,
        streams="the bytes",
        conflicts=True,
        answers={200: Returned(FileReceiptDocument, "It is stored.")},
    ),
)
