"""Reading a request's body: counted while it streams, under a deadline, and only as JSON."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from webhookd.api.json_body import parse_json
from webhookd.api.problems import RequestTimeout, UnsupportedCoding
from webhookd.core.errors import MalformedJson, TooLarge, UnsupportedMediaType

_JSON: Final = re.compile(
    rb"\s*application/json\s*(?:;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?\s*", re.IGNORECASE
)


async def read_json(
    receive: Receive,
    headers: Mapping[bytes, bytes],
    *,
    max_bytes: int,
    timeout_seconds: float,
    may_be_empty: bool,
) -> Any:
    """Return the parsed body; None for an empty one where that is allowed.

    Raises TooLarge, UnsupportedMediaType, MalformedJson, RequestTimeout; ClientDisconnect where nobody
    is left to answer.
    """
    body = await _read(receive, headers, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
    if not body:
        if may_be_empty:
            return None
        raise MalformedJson("The body is empty; it must be a JSON object.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedCoding("The body must not be compressed (no Content-Encoding).")
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _JSON.fullmatch(content_type):
        raise UnsupportedMediaType("The body must be sent as Content-Type: application/json, in UTF-8.")
    return parse_json(body)


async def _read(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, timeout_seconds: float
) -> bytes:
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            message = await receive()
            if not message.get("more_body") and message["type"] == "http.request":
                body: bytes = message.get("body", b"")
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
                return body
            return await _read_on(message, receive, max_bytes=max_bytes)
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {timeout_seconds:g} seconds.") from None


async def _read_on(message: Any, receive: Receive, *, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes:,} bytes.")
