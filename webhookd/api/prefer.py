"""The `Prefer` request header (RFC 7240), of which `wait` is the one preference known here."""

import re
from typing import Final

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_WORD: Final = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_PARAMETER: Final = rf"{_TOKEN}(?:[ \t]*=[ \t]*{_WORD}?)?"
_PREFERENCE: Final = re.compile(
    rf"[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*({_WORD}))?(?:[ \t]*;(?:[ \t]*{_PARAMETER})?)*[ \t]*"
)
_SECONDS: Final = re.compile(r"[0-9]+")
_LONGEST: Final = 1_000


def preferred_wait(header: str | None) -> int | None:
    """Return the seconds of `wait=N`; None where there is none, or the header is malformed.

    Of repeated preferences the first counts (section 2). `header` has repeated headers joined by commas.
    """
    if header is None or len(header) > _LONGEST:
        return None
    wait: str | None = None
    place = 0
    while place < len(header):
        match = _PREFERENCE.match(header, place)
        if match is not None:
            if match[1].lower() == "wait" and wait is None:
                wait = match[2] or ""
            place = match.end()
        else:
            # An empty element of a list means nothing (RFC 9110 section 5.6.1); anything else is an error.
            place += len(header) - place - len(header[place:].lstrip(" \t"))
        if place < len(header):
            if header[place] != ",":
                return None
            place += 1
    wait = (wait or "").strip('"')
    return int(wait) if _SECONDS.fullmatch(wait) else None
