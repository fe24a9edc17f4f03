"""Files on the wire: what a caller says of one, and what it is shown."""

import re
from dataclasses import replace
from typing import Annotated, Final

import orjson
from pydantic import AfterValidator, Field
from typing_extensions import TypeAliasType, TypedDict

from webhookd.api.answers import Answer
from webhookd.api.call import AnyCall
from webhookd.api.caller import Caller
from webhookd.api.wire import AdminListing, Create, QueryString, cursor_of
from webhookd.core import ids
from webhookd.core.fields import FileId, FileStateName, TaskId, Timestamp
from webhookd.core.file_links import DOWNLOAD_MS, KEY_PURPOSE, FileLinks, Link
from webhookd.core.files import OCTETS, File, FileKind, FileState, content_type_fault, name_fault
from webhookd.core.render import FileDocument, file_document

READ: Final = "files:read"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def _name(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


def _content_type(content_type: str) -> str:
    if fault := content_type_fault(content_type):
        raise ValueError(fault)
    return content_type


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise ValueError("must be 64 hexadecimal digits")
    return text.lower()


FileName = Annotated[str, AfterValidator(_name)]


class FileUpload(QueryString):
    """`POST /v1/files`: the file's name, which a form may bring itself."""

    name: FileName | None = None
    """What the file is called; a form may say it itself."""
    partner: str | None = None
    """For admins: whose it is, by the partner's id."""


class FileListing(AdminListing):
    """`GET /v1/files`: `task` shows what that task takes and what it made."""

    cursor: str | None = cursor_of(ids.FILE)
    task: TaskId | None = None
    """What this task takes and what it made, by the task's id."""
    kind: FileKind | None = None
    """Of this kind only."""


class LinkQuery(QueryString):
    """`token` is that of a link, in the place of a key."""

    token: str | None = Field(None, max_length=8_300)
    """The token of a link, or a page's (`wht_…`), in the place of a key."""


class FileCreate(Create):
    """A file that is to come."""

    name: FileName
    """What it is called."""
    content_type: Annotated[str, AfterValidator(_content_type)] = OCTETS
    """What it holds, as a media type; `application/octet-stream` if left out."""
    size: int = Field(ge=0)
    """How many bytes it has."""
    sha256: Annotated[str, AfterValidator(_sha256)] | None = None
    """The SHA-256 of its bytes in hexadecimal; what comes is held against it."""
    partner: str | None = None
    """For admins: whose it is, by the partner's id."""


class FileReceiptDocument(TypedDict):
    """What a key without `files:read` is shown of a file that it writes."""

    id: FileId
    """The file's id."""
    state: FileStateName
    """Whether its bytes are here."""


WrittenFile = TypeAliasType(
    "WrittenFile",
    Annotated[
        FileDocument | FileReceiptDocument,
        Field(description="The file; to a key without `files:read` its id and state only."),
    ],
)


class UploadDocument(TypedDict):
    """Where the bytes of an announced file go. No key is needed there."""

    method: str
    """`PUT`."""
    url: str
    """Where to, at this service or at its object store."""
    headers: dict[str, str]
    """What to send with them."""
    expires_at: Timestamp
    """Until when."""


class AnnouncedFileDocument(TypedDict):
    """A file that is to come."""

    file: WrittenFile
    """The file, awaited."""
    upload: UploadDocument
    """Where to send it."""


def links_of(call: AnyCall) -> FileLinks:
    """Return what signs and checks this service's links."""
    vault = call.parts.vault
    return FileLinks(lambda: vault.derived(KEY_PURPOSE))


def shown_file(call: AnyCall, file: File) -> FileDocument | FileReceiptDocument:
    """Return the file as this caller may see it, with a new link."""
    document = whole_file(call, file)
    return document if call.caller.may(READ) else _receipt(document)


def file_answer_to(caller: Caller, answer: Answer) -> Answer:
    """Return an answer with a File as this caller may see it.

    It is kept whole for repeats, which another key of the partner may make.
    """
    if caller.may(READ):
        return answer
    document = orjson.loads(answer.body)
    shown = {**document, "file": _receipt(document["file"])} if "file" in document else _receipt(document)
    return replace(answer, body=orjson.dumps(shown))


def _receipt(document: FileDocument) -> FileReceiptDocument:
    return {"id": document["id"], "state": document["state"]}


def whole_file(call: AnyCall, file: File) -> FileDocument:
    """Return the file with a new link, whoever calls."""
    if file.state is FileState.READY:
        until_ms = call.now_ms + DOWNLOAD_MS
        token = links_of(call).token(Link.DOWNLOAD, file.id, until_ms)
        file = replace(file, download_token=token, download_until_ms=until_ms)
    return file_document(file, base_url=call.parts.options.base_url)
