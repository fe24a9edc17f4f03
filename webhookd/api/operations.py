"""What /openapi.json says of each call beyond its route: name, group, answers. A row a route.

Parameters, bodies, keys and the refusals that follow from those are read off the routes (`openapi`).
A test holds this table and the routes against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from webhookd.api import admin_documents as admin
from webhookd.api import documents as shown
from webhookd.api.answers import JSON
from webhookd.api.problems import PROBLEM

EVENT_STREAM: Final = "text/event-stream"
METRICS_TEXT: Final = "text/plain"
HTML: Final = "text/html"

TAGS: Final[Mapping[str, str]] = {
    "Tasks": "Submit work, follow it, cancel it.",
    "Endpoints": "Registered callback URLs, their settings and secrets.",
    "Deliveries": "Messages on their way to receivers, and every attempt.",
    "Dead letters": "What ran out of attempts: look, replay, discard.",
    "Messages": "The pull feed, for a receiver that was away.",
    "Partners": "Who may submit; keys and limits.",
    "Operations": "For those who run the service.",
}


@dataclass(frozen=True, slots=True)
class Returned:
    """One answer: its model (None: no JSON body), what it means, and headers of its own.

    `media` is the content type, None where there is no body.
    """

    model: type[BaseModel] | None
    meaning: str
    headers: tuple[str, ...] = ()
    media: str | None = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `conflicts`: it may answer 409. `headers`: request headers it knows, besides the usual."""

    id: str
    tag: str
    summary: str
    answers: Mapping[int, Returned]
    conflicts: bool = False
    headers: tuple[str, ...] = field(default=())


def _ok(model: type[BaseModel], *headers: str) -> dict[int, Returned]:
    return {200: Returned(model, "As it is now.", headers)}


def _made(model: type[BaseModel]) -> dict[int, Returned]:
    return {201: Returned(model, "Made. Secrets in it are shown this once.", ("Location",))}


def _gone() -> dict[int, Returned]:
    return {204: Returned(None, "Done.", media=None)}


_TASK: Final = ("ETag", "Retry-After", "Cache-Control")
_CHANGED: Final = Returned(shown.Endpoint, "The endpoint as it is now.")

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/v1/tasks"): Operation(
        "submitTask",
        "Tasks",
        "Submit a task",
        {
            202: Returned(
                shown.WrittenTask,
                "Accepted: the task and its callback are on disk.",
                ("Location", "Preference-Applied", *_TASK),
            ),
            200: Returned(
                shown.WrittenTask,
                "With `Prefer: wait=N`: it ended in time.",
                ("Preference-Applied", "ETag", "Cache-Control"),
            ),
        },
        headers=("Prefer", "traceparent"),
    ),
    ("POST", "/v1/tasks/batch"): Operation(
        "submitTasks",
        "Tasks",
        "Submit up to 1,000 tasks in one commit",
        {202: Returned(shown.BatchResults, "Each task's own result, in order.")},
        headers=("traceparent",),
    ),
    ("GET", "/v1/tasks"): Operation("listTasks", "Tasks", "List tasks, newest first", _ok(shown.TaskPage)),
    ("GET", "/v1/tasks/{id}"): Operation(
        "getTask",
        "Tasks",
        "Look at a task, or wait for news of it",
        {
            **_ok(shown.Task, *_TASK),
            304: Returned(None, "It is still what `If-None-Match` names.", ("ETag", "Cache-Control"), None),
        },
        headers=("If-None-Match",),
    ),
    ("POST", "/v1/tasks/{id}/cancel"): Operation(
        "cancelTask",
        "Tasks",
        "Cancel a task",
        {
            202: Returned(
                shown.WrittenTask, "Cancelled, or its function was told to stop.", ("Location", *_TASK)
            ),
            200: Returned(shown.WrittenTask, "It was done already.", ("ETag", "Cache-Control")),
        },
    ),
    ("GET", "/v1/tasks/{id}/events"): Operation(
        "followTask",
        "Tasks",
        "Follow a task as Server-Sent Events",
        {
            200: Returned(None, "Events `task` with a Task each, until it is done.", media=EVENT_STREAM),
            204: Returned(None, "`Last-Event-ID` is the final version: do not connect again.", media=None),
        },
        headers=("Last-Event-ID",),
    ),
    ("GET", "/v1/tasks/{id}/timeline"): Operation(
        "getTaskTimeline", "Tasks", "Read a task's whole life", _ok(shown.Timeline)
    ),
    ("GET", "/v1/task-types"): Operation(
        "listTaskTypes", "Tasks", "List task types and the schemas of their input", _ok(shown.TaskTypePage)
    ),
    ("GET", "/v1/traces/{id}"): Operation(
        "getTrace", "Tasks", "Read everything in one trace", _ok(shown.Trace)
    ),
    ("POST", "/v1/endpoints"): Operation(
        "createEndpoint",
        "Endpoints",
        "Register a callback URL",
        _made(shown.NewEndpointSecret),
        conflicts=True,
    ),
    ("GET", "/v1/endpoints"): Operation(
        "listEndpoints", "Endpoints", "List endpoints", _ok(shown.EndpointPage)
    ),
    ("GET", "/v1/endpoints/{id}"): Operation(
        "getEndpoint", "Endpoints", "Look at an endpoint", _ok(shown.Endpoint)
    ),
    ("PATCH", "/v1/endpoints/{id}"): Operation(
        "changeEndpoint", "Endpoints", "Change an endpoint's settings", {200: _CHANGED}
    ),
    ("DELETE", "/v1/endpoints/{id}"): Operation(
        "deleteEndpoint", "Endpoints", "Delete an endpoint; what waits for it is dead", _gone()
    ),
    ("POST", "/v1/endpoints/{id}/rotate-secret"): Operation(
        "rotateEndpointSecret",
        "Endpoints",
        "Make a new secret; both sign until the overlap ends",
        {200: Returned(shown.RotatedEndpointSecret, "The new secret, shown this once.")},
        conflicts=True,
    ),
    ("POST", "/v1/endpoints/{id}/test"): Operation(
        "testEndpoint",
        "Endpoints",
        "Send a test message",
        {202: Returned(shown.WrittenDelivery, "The delivery under way.", ("Location",))},
        conflicts=True,
    ),
    ("POST", "/v1/endpoints/{id}/enable"): Operation(
        "enableEndpoint", "Endpoints", "Enable an endpoint and release what is parked", {200: _CHANGED}
    ),
    ("POST", "/v1/endpoints/{id}/disable"): Operation(
        "disableEndpoint", "Endpoints", "Disable an endpoint and park what waits", {200: _CHANGED}
    ),
    ("GET", "/v1/deliveries"): Operation(
        "listDeliveries", "Deliveries", "List deliveries, newest first", _ok(shown.DeliveryPage)
    ),
    ("GET", "/v1/deliveries/{id}"): Operation(
        "getDelivery", "Deliveries", "Look at a delivery and its attempts", _ok(shown.DeliveryHistory)
    ),
    ("POST", "/v1/deliveries/{id}/replay"): Operation(
        "replayDelivery",
        "Deliveries",
        "Deliver the same message again",
        {202: Returned(shown.WrittenDelivery, "Under way; one that was pending is unchanged.")},
        conflicts=True,
    ),
    ("POST", "/v1/deliveries/{id}/cancel"): Operation(
        "cancelDelivery",
        "Deliveries",
        "Cancel a delivery that waits",
        {
            202: Returned(shown.WrittenDelivery, "Cancelled."),
            200: Returned(shown.WrittenDelivery, "It was cancelled before."),
        },
        conflicts=True,
    ),
    ("GET", "/v1/dead-letters"): Operation(
        "listDeadLetters", "Dead letters", "List dead letters, newest first", _ok(shown.DeadLetterPage)
    ),
    ("GET", "/v1/dead-letters/{id}"): Operation(
        "getDeadLetter", "Dead letters", "Look at a dead letter", _ok(shown.DeadLetter)
    ),
    ("DELETE", "/v1/dead-letters/{id}"): Operation(
        "discardDeadLetter", "Dead letters", "Discard a dead letter", _gone()
    ),
    ("POST", "/v1/dead-letters/{id}/replay"): Operation(
        "replayDeadLetter",
        "Dead letters",
        "Put a dead letter back to work",
        {202: Returned(shown.BackAtWork, "The delivery or the task as it is now.")},
        conflicts=True,
    ),
    ("POST", "/v1/replays"): Operation(
        "createReplay",
        "Dead letters",
        "Replay many dead letters at a pace",
        {202: Returned(shown.Replay, "Counted; the workers work it off.", ("Location",))},
    ),
    ("GET", "/v1/replays"): Operation("listReplays", "Dead letters", "List replays", _ok(shown.ReplayPage)),
    ("GET", "/v1/replays/{id}"): Operation(
        "getReplay", "Dead letters", "See how far a replay is", _ok(shown.Replay)
    ),
    ("POST", "/v1/replays/{id}/cancel"): Operation(
        "cancelReplay",
        "Dead letters",
        "Stop a replay",
        {202: Returned(shown.Replay, "Stopped; what it has put back stays there.")},
        conflicts=True,
    ),
    ("GET", "/v1/messages"): Operation(
        "readMessages", "Messages", "Read the messages after a cursor, or wait for some", _ok(shown.FeedPage)
    ),
    ("POST", "/v1/partners"): Operation(
        "createPartner", "Partners", "Make a partner", _made(admin.NewPartnerSecrets), conflicts=True
    ),
    ("GET", "/v1/partners"): Operation("listPartners", "Partners", "List partners", _ok(admin.PartnerPage)),
    ("GET", "/v1/partners/{id}"): Operation(
        "getPartner", "Partners", "Look at a partner", _ok(admin.Partner)
    ),
    ("PATCH", "/v1/partners/{id}"): Operation(
        "changePartner",
        "Partners",
        "Change a partner's limits or weight, suspend it",
        _ok(admin.Partner),
        conflicts=True,
    ),
    ("GET", "/v1/partner"): Operation(
        "getOwnPartner", "Partners", "Look at the partner this key belongs to", _ok(admin.Partner)
    ),
    ("POST", "/v1/partner/rotate-secret"): Operation(
        "rotatePartnerSecret",
        "Partners",
        "Make a new signing secret; both sign until the overlap ends",
        {200: Returned(admin.RotatedPartnerSecret, "The new secret, shown this once.")},
        conflicts=True,
    ),
    ("POST", "/v1/partners/{id}/keys"): Operation(
        "createKey",
        "Partners",
        "Make an API key",
        {201: Returned(admin.NewKeyText, "The key, shown this once.")},
    ),
    ("GET", "/v1/partners/{id}/keys"): Operation(
        "listKeys", "Partners", "List a partner's keys", _ok(admin.KeyPage)
    ),
    ("DELETE", "/v1/keys/{id}"): Operation("revokeKey", "Partners", "Revoke a key for good", _gone()),
    ("GET", "/v1/queues"): Operation(
        "listQueues", "Operations", "See how deep queues are", _ok(admin.QueuePage)
    ),
    ("POST", "/v1/queues/{name}/pause"): Operation(
        "pauseQueue", "Operations", "Let nothing more of a queue start", _ok(admin.QueuePause)
    ),
    ("POST", "/v1/queues/{name}/resume"): Operation(
        "resumeQueue", "Operations", "Let a queue go on", _ok(admin.QueuePause)
    ),
    ("GET", "/v1/audit"): Operation(
        "listAudit", "Operations", "See who changed what, newest first", _ok(admin.AuditPage)
    ),
    ("GET", "/healthz"): Operation(
        "checkHealth", "Operations", "Ask whether the process answers", _ok(admin.Health)
    ),
    ("GET", "/readyz"): Operation(
        "checkReadiness",
        "Operations",
        "Ask whether tasks can be taken in, and how each part is",
        {
            **_ok(admin.Readiness),
            503: Returned(admin.NotReady, "Database or disk fails; why, is said.", ("Retry-After",), PROBLEM),
        },
    ),
    ("GET", "/metrics"): Operation(
        "getMetrics",
        "Operations",
        "Read the figures of the whole service, for Prometheus",
        {200: Returned(None, "Text (exposition format 0.0.4).", ("Cache-Control",), METRICS_TEXT)},
    ),
    ("GET", "/openapi.json"): Operation(
        "getOpenApi",
        "Operations",
        "Read this description",
        {200: Returned(None, "An OpenAPI 3.1 document.", ("Cache-Control",))},
    ),
    ("GET", "/docs"): Operation(
        "getDocs",
        "Operations",
        "Read this description as a page",
        {200: Returned(None, "A page without scripts.", ("Cache-Control", "Content-Security-Policy"), HTML)},
    ),
}
