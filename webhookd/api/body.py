"""Reading a request's body: counted while it streams, under a deadline, and only as JSON."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from webhookd.api.json_body import LARGE, parse_json
from webhookd.api.problems import RequestTimeout, UnsupportedCoding
from webhookd.core.errors import MalformedJson, TooLarge, UnsupportedMediaType
from webhookd.flows.turns import Turns

_CHARSET: Final = re.compile(rb'charset[ \t]*+=[ \t]*+("?)utf-?8\1', re.IGNORECASE)


async def read_json(
    receive: Receive,
    headers: Mapping[bytes, bytes],
    *,
    max_bytes: int,
    timeout_seconds: float,
    may_be_empty: bool,
    parsing: Turns,
    owner: str,
) -> Any:
    """Return the parsed body; `{}` for an empty one where that is allowed.

    Raises TooLarge, UnsupportedMediaType, MalformedJson, RequestTimeout; ClientDisconnect where nobody
    is left to answer. A large body is parsed off the event loop, at `owner`'s turn (RateLimited where too
    many wait for theirs).
    """
    try:
        body = await read_bytes(receive, headers, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
    except TooLarge:
        _refuse_other_media(headers)  # what is taken at no size is told so
        raise
    if not body:
        if may_be_empty:
            return {}
        raise MalformedJson("The body is empty; it must be a JSON object.")
    _refuse_other_media(headers)
    if len(body) <= LARGE:
        return parse_json(body)
    await parsing.take(owner)
    try:
        return await asyncio.to_thread(parse_json, body)
    finally:
        parsing.give_back(owner)


def _refuse_other_media(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedCoding("The body must not be compressed (no Content-Encoding).")
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _is_json(content_type):
        raise UnsupportedMediaType("The body must be sent as Content-Type: application/json, in UTF-8.")


def _is_json(content_type: bytes) -> bool:
    """Whether this says `application/json`, in no other charset than UTF-8 (RFC 9110 section 8.3)."""
    media, *parameters = (part.strip(b" \t") for part in content_type.split(b";"))
    return media.lower() == b"application/json" and all(
        not parameter or _CHARSET.fullmatch(parameter) for parameter in parameters
    )


async def read_bytes(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, timeout_seconds: float
) -> bytes:
    """Return the whole body. Raises TooLarge, RequestTimeout, ClientDisconnect."""
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
