"""A client of the API, for partners and admins.

    from webhookd.client import Client

    with Client("https://tasks.example", "whk_…") as client:
        task = client.submit("report.statement", {"account": "A-1"})
        print(client.wait(task).result)

It needs httpx and standardwebhooks and imports nothing of the service. `AsyncClient` is the same for a loop.
"""

from webhookd.client.documents import Batch, Delivery, Document, Endpoint, Event, File, Replay, Task
from webhookd.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NoAnswer,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthenticated,
    Unavailable,
    VerificationFailed,
)
from webhookd.client.faces import AsyncClient, Client
from webhookd.client.sending import Patience
from webhookd.client.verification import verify

__all__ = [
    "ApiError",
    "AsyncClient",
    "Batch",
    "Client",
    "ClientError",
    "Conflict",
    "Delivery",
    "Document",
    "Endpoint",
    "Event",
    "FieldError",
    "File",
    "Forbidden",
    "Invalid",
    "NoAnswer",
    "NotFound",
    "Patience",
    "RateLimited",
    "Replay",
    "Task",
    "TimedOut",
    "Unauthenticated",
    "Unavailable",
    "VerificationFailed",
    "verify",
]
