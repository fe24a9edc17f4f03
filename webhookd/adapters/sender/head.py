"""The head of a response that the strict parser refuses, read as far as that is safe.

A receiver that says `200` in an odd head (a folded line, one length said twice, a blank before a colon)
has the webhook: its status counts, its head is put straight and its body read by that. What makes the
*status* doubtful is never put straight, nor is a length that contradicts itself (RFC 9112 section 6.3).
The rules are RFC 9112's for recipients that do not reject: section 5.2 for folded lines, section 6.3 for
a length beside chunks, RFC 9110 section 5.5 for control characters. The connection of an odd head is
never used again, so nothing that follows can be taken for another answer.
"""

import re
from typing import Final

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?:[ \t]|\Z)")
_PROTOCOL: Final = b"HTTP/"
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS: Final = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_LONGEST_BLANK_LINE: Final = 3

Header = tuple[bytes, bytes]


class OddHead(ValueError):
    """Raised for a head that cannot be put straight."""


class LenientHead:
    """Takes all that came of a response from its first byte on, and gives its head put straight."""

    __slots__ = ("_raw", "_searched", "_start")

    def __init__(self) -> None:
        self._raw = bytearray()
        self._start = self._searched = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the final head put straight and what followed it; None while the head has not ended.

        Raises:
            OddHead: the status line says nothing that holds, or the lengths contradict each other.
        """
        self._raw += data
        while end := _BLANK_LINE.search(self._raw, self._searched):
            status, headers = said(bytes(self._raw[self._start : end.start()]))
            if status is None:
                raise OddHead
            if status < 200 and status != 101:  # interim: the final response follows
                self._start = self._searched = end.end()
                continue
            return _straight(status, headers), bytes(self._raw[end.end() :])
        self._searched = max(self._start, len(self._raw) - _LONGEST_BLANK_LINE + 1)
        return None


def is_http(raw: bytes) -> bool:
    """Tell whether what came can be the beginning of an HTTP response."""
    begun = raw.lstrip(b"\r\n")[: len(_PROTOCOL)]
    return _PROTOCOL.startswith(begun)


def said(raw: bytes) -> tuple[int | None, list[Header]]:
    """Return the status and the header lines that stand in a head, whole or broken off.

    Of several the last counts: interim responses came before it.
    """
    status: int | None = None
    headers: list[Header] = []
    for block in _BLANK_LINE.split(raw):
        first, *lines = _LINE_END.split(block.lstrip(b"\r\n"))
        line = _STATUS_LINE.match(first)
        if line is None:
            break
        status, headers = int(line[1]), _headers(lines)
        if status >= 200 or status == 101:
            break
    return status, headers


def _headers(lines: list[bytes]) -> list[Header]:
    headers: list[Header] = []
    folds = False  # whether a line that begins with a blank goes on with a header that was kept
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if folds:
                name, value = headers[-1]
                headers[-1] = name, b"%b %b" % (value, _value(line))
            continue
        raw_name, colon, value = line.partition(b":")
        name = raw_name.rstrip(b" \t")
        folds = bool(colon) and _NAME.fullmatch(name) is not None
        if folds:
            headers.append((name, _value(value)))
    return headers


def _value(raw: bytes) -> bytes:
    return _CONTROLS.sub(b" ", raw).strip(b" \t")


def _straight(status: int, headers: list[Header]) -> bytes:
    chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
    lengths = {
        one.strip()
        for name, value in headers
        if name.lower() == b"content-length"
        for one in value.split(b",")
    }
    if len(lengths) > 1 and not chunked:
        raise OddHead
    lines = [b"HTTP/1.1 %d" % status]
    lines += [b"%b: %b" % header for header in headers if header[0].lower() != b"content-length"]
    if lengths and not chunked:
        lines.append(b"content-length: %b" % lengths.pop())
    return b"\r\n".join([*lines, b"", b""])
