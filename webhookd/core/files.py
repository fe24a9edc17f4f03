"""Files: what one is, what it may be called, and what its reader is told of it. The bytes are elsewhere."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

MAX_NAME_CHARS: Final = 255
OCTETS: Final = "application/octet-stream"

_ID: Final = re.compile(r"file_[0-9a-hjkmnp-tv-z]{26}")
_BAD_IN_NAME: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_CONTENT_TYPE: Final = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[\x20-\x21\x23-\x5b\x5d-\x7e]*"))*'
)
_PLAIN_IN_HEADER: Final = re.compile(r'[^\x20-\x7e]|["\\%]')


class FileState(StrEnum):
    """`awaiting`: declared, its bytes are to come. `ready`: they are there, counted and hashed."""

    AWAITING = "awaiting"
    READY = "ready"


class FileKind(StrEnum):
    """Who made it: a partner for tasks to come, or a task's function."""

    INPUT = "input"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file's row. `key` is where its bytes are; of one that is awaited, where they will be checked.

    `size` and `sha256` (hexadecimal) are what was counted; of an awaited one, what was announced. `task_id`
    is the task that made a result. `upload_until_ms` is how long an awaited one may still come. What a task
    attached is kept with the link that its message carries: `download_token`, until `download_until_ms`.
    """

    id: str
    partner_id: str
    name: str
    content_type: str
    size: int
    sha256: str | None
    state: FileState
    kind: FileKind
    key: str
    created_ms: int
    task_id: str | None = None
    expires_ms: int | None = None
    upload_until_ms: int | None = None
    download_token: str | None = None
    download_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """Which files a listing shows; None is any. `task_id`: those it takes and those it made."""

    task_id: str | None = None
    kind: FileKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUsage:
    """What a partner keeps here."""

    files: int
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was written: bytes counted, and their SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One key that is there. `modified_ms` is by the clock of the store."""

    key: str
    size: int
    modified_ms: int


class FetchFailed(Exception):
    """Raised where a URL gave no file. `code` as of an attempt: `blocked`, `dns`, `http_404`, …"""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def is_file_id(text: str) -> bool:
    """Whether this could be a file's id."""
    return _ID.fullmatch(text) is not None


def name_fault(name: str) -> str | None:
    """Return what is wrong with a file's name; None: nothing. It is a name only: no path, nothing unseen."""
    if not name or name in (".", "..") or name != name.strip():
        return "must be a file's name"
    if len(name) > MAX_NAME_CHARS:
        return f"must have at most {MAX_NAME_CHARS} characters"
    if _BAD_IN_NAME.search(name):
        return "must be a name without slashes, backslashes, control or direction characters"
    return None


def content_type_fault(content_type: str) -> str | None:
    """Return what is wrong with a content type (RFC 9110 section 8.3.1); None: nothing."""
    if len(content_type) > MAX_NAME_CHARS or not _CONTENT_TYPE.fullmatch(content_type):
        return "must be a media type, such as image/png"
    return None


def disposition(name: str) -> str:
    """Return the `Content-Disposition` that saves and never shows a file (RFC 6266, RFC 8187)."""
    plain = _PLAIN_IN_HEADER.sub("_", name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='!#$&+^`|~')}"
