"""What a form sends: `application/x-www-form-urlencoded`, small, each name perhaps several times.

A form with a file is `multipart/form-data`: its fields first, then the file, which is not read here.
"""

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive

from webhookd.api.body import read_bytes
from webhookd.api.file_body import FORM_BYTES, FormPart, body_chunks, form_boundary
from webhookd.core.errors import FieldError, Invalid
from webhookd.core.files import OCTETS

MAX_FORM_BYTES: Final = 262_144
MAX_FIELDS: Final = 2_000
MAX_WHOLE: Final = 2**53 - 1
"""What JSON holds exactly everywhere (RFC 8259 section 6)."""
READ_SECONDS: Final = 30.0
_MEDIA: Final = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The file of a form; its bytes can be read once, as they arrive."""

    name: str
    content_type: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in their order, and its file where it has one."""

    fields: Mapping[str, list[str]] = field(default_factory=dict)
    upload: Upload | None = None

    def one(self, name: str) -> str:
        """Return a field without the blanks around it; empty where it is not there."""
        return self.fields.get(name, [""])[-1].strip()

    def all(self, name: str) -> list[str]:
        """Return each value of a field."""
        return self.fields.get(name, [])

    def number(self, name: str) -> float | None:
        """Return a field as a number; None where it is empty. Raises Invalid."""
        text = self.one(name)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise _wrong(name, "must be a number")
        return number

    def whole(self, name: str) -> int | None:
        """Return a field as a whole number; None where it is empty. Raises Invalid."""
        number = self.number(name)
        if number is None:
            return None
        if not number.is_integer() or abs(number) > MAX_WHOLE:
            raise _wrong(name, f"must be a whole number up to {MAX_WHOLE:,}")
        return int(number)


def _wrong(name: str, message: str) -> Invalid:
    told = f"'{name.replace('_', ' ')}' {message}."
    return Invalid(told, errors=[FieldError(path=f"$.{name}", message=message)])


async def read_form(receive: Receive, headers: Mapping[bytes, bytes]) -> Form:
    """Read a form. What is none has no fields, so no token. Raises TooLarge, Invalid, RequestTimeout."""
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != _MEDIA:
        return Form()
    raw = await read_bytes(receive, headers, max_bytes=MAX_FORM_BYTES, timeout_seconds=READ_SECONDS)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Invalid("The form is not valid: it must be percent-encoded UTF-8.") from None
    return Form(_by_name(pairs))


async def open_upload(receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int) -> Form:
    """Read the fields of a form up to its file of `max_bytes`, which is read by whoever takes it.

    One that has no file is read whole. Raises TooLarge, Invalid, RequestTimeout, ClientDisconnect.
    """
    boundary = form_boundary(headers.get(b"content-type", b"").decode("latin-1"))
    if boundary is None:
        return await read_form(receive, headers)
    body = body_chunks(receive, headers, max_bytes=max_bytes + FORM_BYTES)
    part = FormPart(body, boundary, field_bytes=FORM_BYTES // 2)
    name, content_type = await part.open()
    upload = Upload(name=name or "", content_type=content_type or OCTETS, chunks=part.chunks())
    return Form(_by_name(part.fields), upload)


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise Invalid("A form's fields must not contain NUL.")
        fields.setdefault(name, []).append(value)
    return fields
