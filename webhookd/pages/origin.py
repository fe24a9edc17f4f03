"""Whether a form comes from one of our own pages."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def is_ours(headers: Mapping[bytes, bytes], base_url: str) -> bool:
    """Whether a request was made by a page of this origin.

    `Sec-Fetch-Site` says it where there is one. `Origin`, or `Referer` in its place, must name the host that
    was asked, or that of WEBHOOKD_PUBLIC_URL: a page of another site can set none of these. What says neither
    is no browser's form.
    """
    if headers.get(b"sec-fetch-site", b"same-origin") != b"same-origin":
        return False
    said = headers.get(b"origin") or headers.get(b"referer")
    if said is None:
        return False
    try:
        parts = urlsplit(said.decode("latin-1"))
    except ValueError:
        return False
    ours = {headers.get(b"host", b"").decode("latin-1").lower(), urlsplit(base_url).netloc.lower()} - {""}
    return parts.scheme in ("http", "https") and parts.netloc.lower() in ours
