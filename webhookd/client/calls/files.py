"""Uploading and downloading."""

import functools
import mimetypes
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, cast

import httpx

from webhookd.client.calls.asking import id_of, new_key, path_of, reading
from webhookd.client.documents import File
from webhookd.client.steps import Call, Request

CHUNK_BYTES: Final = 256 * 1024
NAME_BYTES: Final = 255
"""What file systems take; the service counts characters, of up to four bytes."""

Source = bytes | str | os.PathLike[str] | IO[bytes] | Iterable[bytes]
"""What can be uploaded. A `str` is a path, as `open` takes it."""


def upload(
    source: Source, *, name: str | None = None, content_type: str | None = None, partner: str | None = None
) -> Call[File]:
    """Upload bytes, a path, an open binary file or an iterable of bytes, and return the File.

    `name` is the path's, or the open file's, unless given. Bytes and paths are sent again when the
    connection breaks; an open file or an iterable can be read only once. Raises Invalid where it is larger
    than the service takes.
    """
    content, repeatable = _content(source)
    name = name or _name_of(source)
    kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Content-Type": kind, "Idempotency-Key": new_key()}
    request = Request(
        method="POST",
        path="v1/files",
        query={"name": name, "partner": partner},
        headers=headers,
        content=content,
        repeatable=repeatable,
    )
    return File.of((yield request))


def get(file: str | File) -> Call[File]:
    """Return what is known of a file, with a new `download_url`. Raises NotFound."""
    return File.of((yield reading(path_of("files", id_of(file)))))


def download(file: str | File, to: str | os.PathLike[str]) -> Call[Path]:
    """Write a file's bytes to the path `to` and return where they are; in a folder they get the file's name.

    They appear there whole, or not at all. A name too long for a file system loses the end of its stem.
    """
    target = Path(to)
    if target.is_dir():
        known = file if isinstance(file, Mapping) and "name" in file else (yield from get(file))
        target /= _fitting(Path(known["name"]).name)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield Request(method="GET", path=path_of("files", id_of(file), "content"), into=part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def read(file: str | File) -> Call[bytes]:
    """Return a file's bytes, all at once."""
    response: httpx.Response = yield reading(path_of("files", id_of(file), "content"))
    return response.content


def _name_of(source: Source) -> str:
    """Return the name of a path or an open file; a descriptor's number and `<stdin>` are no names."""
    said = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    name = Path(said).name if isinstance(said, str | os.PathLike) else ""
    return name if name and not name.startswith("<") else "file"


def _fitting(name: str) -> str:
    """Return a name of at most NAME_BYTES, with its suffix."""
    stem, suffix = Path(name).stem, Path(name).suffix
    room = NAME_BYTES - len(suffix.encode())
    if room < 1:
        stem, suffix, room = name, "", NAME_BYTES
    return stem.encode()[:room].decode(errors="ignore") + suffix


def _content(source: Source) -> tuple[Callable[[], Iterator[bytes]], bool]:
    """Return how to open the bytes, and whether that can be done more than once."""
    if isinstance(source, bytes):
        return lambda: iter((source,)), True
    if isinstance(source, str | os.PathLike):
        return lambda: _chunks_of(source), True
    if not hasattr(source, "read"):
        once = iter(source)
        return lambda: once, False
    file = cast("IO[bytes]", source)
    return lambda: iter(functools.partial(file.read, CHUNK_BYTES), b""), False


def _chunks_of(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
