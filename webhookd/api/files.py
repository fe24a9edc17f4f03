"""Files over HTTP: look, list, complete, delete. New ones are `file_uploads`, their bytes `file_content`."""

from typing import Final

from webhookd.adapters.store.files.files import delete_file, get_file, list_files
from webhookd.adapters.store.tx import Tx
from webhookd.api import example_ids
from webhookd.api.answers import Answer, json_answer, page_answer
from webhookd.api.api_route import AnyRoute, ApiRoute, Returned, lists, removes, shows
from webhookd.api.call import Call, found
from webhookd.api.file_content import ensured_ready, show_content, take_content
from webhookd.api.file_uploads import announce_file, upload_file
from webhookd.api.file_wire import (
    AnnouncedFileDocument,
    FileCreate,
    FileListing,
    FileReceiptDocument,
    FileUpload,
    LinkQuery,
    WrittenFile,
    shown_file,
)
from webhookd.api.granted import FILE
from webhookd.api.owners import with_owner, with_owners
from webhookd.api.wire import NoBody, NoQuery
from webhookd.core.files import OCTETS, File, FileFilter
from webhookd.core.render import FileDocument


async def complete_file(call: Call[NoBody, NoQuery]) -> Answer:
    """`POST /v1/files/{id}/complete`."""
    file = await call.named(get_file, "file")
    return json_answer(200, await with_owner(call, file, shown_file(call, await ensured_ready(call, file))))


async def show_file(call: Call[None, NoQuery]) -> Answer:
    """`GET /v1/files/{id}`."""
    file = await call.named(get_file, "file")
    return json_answer(200, await with_owner(call, file, shown_file(call, file)))


async def page(call: Call[None, FileListing]) -> Answer:
    """`GET /v1/files`."""
    query = call.query
    wanted = FileFilter(task_id=query.task, kind=query.kind)
    rows, cursor = await call.read(list_files, await call.narrowed(query.partner), wanted, query.page)
    documents = await with_owners(call, rows, [shown_file(call, file) for file in rows])
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
        handler=page,
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
