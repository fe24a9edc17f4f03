"""The bytes of an upload as they arrive: the body as it is, or the file of a form (RFC 7578)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from webhookd.api.problems import RequestTimeout, UnsupportedCoding
from webhookd.core.errors import Invalid, TooLarge

SILENCE_SECONDS: Final = 30.0
"""How long a sender may send nothing."""
FORM_BYTES: Final = 65_536
"""For what a form has around its part."""
MAX_HEAD_BYTES: Final = 16_384


async def body_chunks(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises TooLarge (where the length is told, before the first byte), UnsupportedCoding, RequestTimeout, and
    ClientDisconnect where the sender breaks off.
    """
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedCoding("The body must not be compressed (no Content-Encoding).")
    length = told_length(headers)
    if length is not None and length > max_bytes:
        raise too_large(max_bytes)
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(f"Nothing arrived for {SILENCE_SECONDS:g} seconds.") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body"):
            return


def too_large(max_bytes: int) -> TooLarge:
    """Return the error of a file that no partner may send."""
    return TooLarge(f"A file may be {max_bytes:,} bytes.")


def told_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Return what Content-Length says; None where there is none."""
    told = headers.get(b"content-length")
    return int(told) if told is not None and told.isdigit() else None


def form_boundary(content_type: str) -> bytes | None:
    """Return the boundary of a multipart/form-data body; None where the body is none. Raises Invalid."""
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise Invalid("The form's Content-Type must name its boundary (RFC 2046 section 5.1.1).")
    return boundary


class FormPart:
    """The file of a form. `open` reads its head; `chunks` yields its bytes as they arrive.

    It is the form's only part, unless there is room for `field_bytes` of fields in front of it. What stands
    there without a file's name is in `fields` once `open` is back.
    """

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes, *, field_bytes: int = 0) -> None:
        self.fields: list[tuple[str, str]] = []
        self._room = field_bytes
        self._written: bytearray | None = None
        self._body = body
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._field,
                "on_header_value": self._value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_head,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._text = b""
        self._head_bytes = 0
        self._options: dict[bytes, bytes] = {}
        self._head_is_here = False
        self._has_another = False
        self._over = False
        self._waiting: deque[bytes] = deque()

    async def open(self) -> tuple[str | None, str | None]:
        """Return the file's name and content type as the part's head has them. Raises Invalid."""
        while not self._head_is_here:
            if self._over:
                raise Invalid("The form has no file, or its fields stand behind it.")
            if not await self._more():
                raise _broken()
        filename = self._options.get(b"filename")
        content_type = self._headers.get(b"content-type")
        return (
            None if filename is None else _last_part(filename.decode("utf-8", "replace")),
            None if content_type is None else content_type.decode("latin-1").strip(),
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the part's bytes; raises Invalid where the form is broken off or has another part."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if not await self._more():
                break
        if not self._over:
            raise _broken()

    async def _more(self) -> bool:
        chunk = await anext(self._body, None)
        if chunk is None:
            return False
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _broken() from None
        if self._has_another:
            raise Invalid("The form must have one part, the file, or end with it.")
        return True

    def _begin(self) -> None:
        if self._head_is_here:
            self._has_another = True
        else:
            self._headers = {}

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += self._counted(data[start:end])

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._text += self._counted(data[start:end])

    def _counted(self, text: bytes) -> bytes:
        self._head_bytes += len(text)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise Invalid("The head of the form's part is too large.")
        return text

    def _end_header(self) -> None:
        self._headers.setdefault(self._name.lower(), self._text)
        self._name = self._text = b""

    def _end_head(self) -> None:
        if self._has_another:
            return
        _, self._options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if self._room and b"filename" not in self._options:
            self._written = bytearray()
        else:
            self._head_is_here = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._written is None:
            self._waiting.append(data[start:end])
            return
        self._written += data[start:end]
        self._room -= end - start
        if self._room <= 0:
            raise Invalid("The fields of the form are too large.")

    def _end_part(self) -> None:
        if self._written is None:
            return
        try:
            name, value = self._options[b"name"].decode(), self._written.decode()
        except (KeyError, UnicodeDecodeError):
            raise Invalid("A field of the form has no name, or is not UTF-8.") from None
        self.fields.append((name, value))
        self._written = None

    def _end(self) -> None:
        self._over = True


def _last_part(filename: str) -> str:
    """Return the name without the path that some browsers send with it (RFC 7578 section 4.2)."""
    return filename.replace("\\", "/").rpartition("/")[2]


def _broken() -> Invalid:
    return Invalid("The form is broken off, or is none of its boundary.")
