"""`If-None-Match`."""

from typing import Final

_APPENDED: Final = ("-gzip", "-br", "-zstd", "-deflate")
"""What a proxy that compresses an answer appends to its tag, within the quotes, as Apache httpd does."""


def etag_matches(etag: str, if_none_match: str) -> bool:
    """Compare weakly (RFC 9110 section 13.1.2); what a proxy appended to the tag does not count."""
    given = [_as_made(one) for one in if_none_match.split(",")]
    return etag in given or "*" in given


def _as_made(tag: str) -> str:
    """Return a tag as the service made it: strong, and without what a proxy appended."""
    made = tag.strip().removeprefix("W/")
    for appended in _APPENDED:
        if made.endswith(f'{appended}"'):
            return made.removesuffix(f'{appended}"') + '"'
    return made
