"""Whether a form comes from one of our own pages."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def is_ours(headers: Mapping[bytes, bytes], base_url: str) -> bool:
    """Whether a request was made by a page of this origin.

    `Sec-Fetch-Site` says it where there is one. `Origin`, or `Referer` in its place, must name the origin of
    WEBHOOKD_PUBLIC_URL, or the host that was asked: a page of another site can set none of these. What says
    neither is no browser's form.
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
    public, host = urlsplit(base_url), parts.netloc.lower()
    if host == public.netloc.lower():
        return bool(host) and parts.scheme == public.scheme
    return parts.scheme in ("http", "https") and host == headers.get(b"host", b"").decode("latin-1").lower()
