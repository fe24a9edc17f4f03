"""HTTP clients of services on this machine, which speak plain HTTP.

They share a TLS context that trusts nobody: to read the certificates of the world takes 25 ms a client.
"""

import ssl
from typing import Any, Final

import httpx

TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(url: str = "", key: str | None = None, **options: Any) -> httpx.Client:
    """Return a client of the service at `url`, with a key where one is given; `options` are httpx's."""
    return httpx.Client(base_url=url, **_options(key, options))


def async_http_client(url: str = "", key: str | None = None, **options: Any) -> httpx.AsyncClient:
    """Return the same for a loop."""
    return httpx.AsyncClient(base_url=url, **_options(key, options))


def ask(method: str, url: str, key: str | None = None, **request: Any) -> httpx.Response:
    """Return the answer to one request, on a connection of its own."""
    with http_client(key=key, timeout=60.0) as client:
        return client.request(method, url, **request)


def _options(key: str | None, options: dict[str, Any]) -> dict[str, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return {"headers": headers, "timeout": 30.0, "trust_env": False, "verify": TRUSTS_NOBODY, **options}
