"""`If-None-Match`."""


def etag_matches(etag: str, if_none_match: str) -> bool:
    """Compare weakly (RFC 9110 section 13.1.2)."""
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in given or "*" in given
