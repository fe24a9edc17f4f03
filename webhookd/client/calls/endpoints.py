"""Registered callback URLs."""

from typing import Any

from webhookd.client.calls.asking import given, id_of, listed, path_of, posting, reading
from webhookd.client.documents import Delivery, Document, Endpoint
from webhookd.client.steps import Call, Request, Stream


def create(url: str, **settings: Any) -> Call[Endpoint]:
    """Register a callback URL; `secret` of the answer is shown this once. Settings are the API's fields."""
    return Endpoint.of((yield posting("v1/endpoints", {"url": url, **settings})))


def get(endpoint: str | Endpoint) -> Call[Endpoint]:
    """Return an endpoint. Raises NotFound."""
    return Endpoint.of((yield reading(path_of("endpoints", id_of(endpoint)))))


def list_all(**filters: Any) -> Stream[Endpoint]:
    """Iterate over the endpoints."""
    return listed(Endpoint, "v1/endpoints", filters)


def update(endpoint: str | Endpoint, **settings: Any) -> Call[Endpoint]:
    """Change the settings that are given."""
    request = Request(method="PATCH", path=path_of("endpoints", id_of(endpoint)), json=settings)
    return Endpoint.of((yield request))


def delete(endpoint: str | Endpoint) -> Call[None]:
    """Delete an endpoint; what waited for it becomes dead letters."""
    yield Request(method="DELETE", path=path_of("endpoints", id_of(endpoint)))


def enable(endpoint: str | Endpoint) -> Call[Endpoint]:
    """Enable an endpoint; its parked deliveries are sent."""
    return Endpoint.of((yield posting(path_of("endpoints", id_of(endpoint), "enable"))))


def disable(endpoint: str | Endpoint) -> Call[Endpoint]:
    """Disable an endpoint; its deliveries are parked."""
    return Endpoint.of((yield posting(path_of("endpoints", id_of(endpoint), "disable"))))


def send_test(endpoint: str | Endpoint, *, wait_seconds: int | None = None) -> Call[Delivery]:
    """Send a `webhookd.test` message once, whatever the endpoint subscribes to.

    With `wait_seconds` the answer has the `attempt` and what came back, unless that takes longer.
    """
    path = path_of("endpoints", id_of(endpoint), "test")
    headers = {} if wait_seconds is None else {"Prefer": f"wait={wait_seconds}"}
    return Delivery.of((yield posting(path, headers=headers, wait_seconds=wait_seconds or 0)))


def retry(endpoint: str | Endpoint) -> Call[Document]:
    """Send now all that waits for the endpoint; `due` is how many that is."""
    return Document.of((yield posting(path_of("endpoints", id_of(endpoint), "retry"))))


def rotate_secret(
    endpoint: str | Endpoint, *, overlap_seconds: float | None = None, secret: str | None = None
) -> Call[Document]:
    """Make a new signing secret, or bring one; both sign until the overlap ends. 0 cuts the old ones off."""
    body = given(overlap_seconds=overlap_seconds, secret=secret)
    return Document.of((yield posting(path_of("endpoints", id_of(endpoint), "rotate-secret"), body)))


def stats(endpoint: str | Endpoint, *, window: str | None = None) -> Call[Document]:
    """Return how an endpoint does, in the last `1h`, `24h` (if left out) or `7d`."""
    return Document.of((yield reading(path_of("endpoints", id_of(endpoint), "stats"), {"window": window})))
