"""A File as JSON: from the API, and within a Task."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from webhookd.core.fields import Count, FileId, FileKindName, FileStateName, TaskId, Timestamp
from webhookd.core.file_links import content_url
from webhookd.core.files import File
from webhookd.core.render.owner import OwnerDocument
from webhookd.core.times import opt_rfc3339, to_rfc3339


class FileDocument(TypedDict):
    """A file: an input that is too big for JSON, or a result that is."""

    id: FileId
    """The file's id, for good; an input names it."""
    name: str
    """What it is called when it is saved."""
    content_type: str
    """Its media type."""
    size: Count
    """Its bytes; of an awaited file, how many there will be."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """The SHA-256 of its bytes, in hexadecimal; null while they are awaited and it was not announced."""
    state: FileStateName
    """Whether its bytes are here."""
    kind: FileKindName
    """Whether a partner brought it, or a task's function made it."""
    task_id: TaskId | None
    """The task that made it; null for an input."""
    created_at: Timestamp
    """When it was uploaded, announced or made."""
    expires_at: Timestamp | None
    """When it is deleted by itself, unless a task still needs it; null: with its tasks, or never."""
    url: str
    """Where its bytes are, for a key that may read files."""
    download_url: str | None
    """Where its bytes are without a key; who has this link has the file. Null while they are awaited."""
    download_expires_at: Timestamp | None
    """How long that link is good; asking for the file makes a new one."""
    partner: NotRequired[OwnerDocument]
    """Whose it is; to admins only."""


def file_document(file: File, *, base_url: str = "") -> FileDocument:
    """Return the File of the API; `base_url` as in `announced_task_document`."""
    url = content_url(file.id, base_url)
    return {
        "id": file.id,
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "sha256": file.sha256,
        "state": file.state.value,
        "kind": file.kind.value,
        "task_id": file.task_id,
        "created_at": to_rfc3339(file.created_ms),
        "expires_at": opt_rfc3339(file.expires_ms),
        "url": url,
        "download_url": None if file.download_token is None else f"{url}?token={file.download_token}",
        "download_expires_at": opt_rfc3339(file.download_until_ms),
    }
