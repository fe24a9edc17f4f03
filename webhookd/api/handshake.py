"""What makes a request the opening of a WebSocket (RFC 6455 section 4.2.1), decided from its head alone.

Anything less is plain HTTP/1.1, whatever its `Upgrade` says: a server may ignore that header (RFC 9110
section 7.8), and one that switched on a mere hint would read a body as something else.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

VERSION: Final = b"13"
_KEY_BYTES: Final = 16

Pairs = Iterable[tuple[bytes, bytes]]


def asks_for_websocket(headers: Pairs) -> bool:
    """Whether these headers mean a WebSocket, well or badly."""
    pairs = list(headers)
    asked, offered = list_members(pairs, b"connection"), list_members(pairs, b"upgrade")
    return b"upgrade" in asked and b"websocket" in offered


def handshake_fault(*, method: str, http_version: str, headers: Pairs) -> str | None:
    """Return why this head opens no WebSocket, as a sentence; None where it does. Names are in lower case."""
    pairs = list(headers)
    keys = _values(pairs, b"sec-websocket-key")
    if method != "GET" or http_version != "1.1":
        return "A WebSocket is opened by a GET over HTTP/1.1."
    asked, offered = list_members(pairs, b"connection"), list_members(pairs, b"upgrade")
    if b"upgrade" not in asked or offered != [b"websocket"]:
        return "A WebSocket is opened with Connection: upgrade and Upgrade: websocket."
    if _values(pairs, b"transfer-encoding") or any(
        value.strip(b"0") for value in _values(pairs, b"content-length")
    ):
        return "A request that opens a WebSocket has no body."
    if not is_of_this_version(pairs):
        return f"Sec-WebSocket-Version must be {VERSION.decode()}."
    if len(keys) != 1 or not _is_nonce(keys[0]):
        return f"Sec-WebSocket-Key must be {_KEY_BYTES} bytes in base64, once."
    return None


def is_of_this_version(headers: Pairs) -> bool:
    """Whether the WebSocket asked for is of the version we speak."""
    return _values(headers, b"sec-websocket-version") == [VERSION]


def _values(pairs: Pairs, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for key, value in pairs if key == name]


def list_members(pairs: Pairs, name: bytes) -> list[bytes]:
    """Return a list header's members, in lower case (RFC 9110 section 5.6.1)."""
    members = b",".join(_values(pairs, name)).lower().split(b",")
    return [member for one in members if (member := one.strip(b" \t"))]


def _is_nonce(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
