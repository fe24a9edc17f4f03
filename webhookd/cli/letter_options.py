"""Options that say which deliveries, tasks or dead letters are meant: the same words in every command."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from webhookd.cli.options import Partner, Since, Until, given


class LetterKind(StrEnum):
    """What died."""

    DELIVERY = "delivery"
    TASK = "task"


OfKind = Annotated[LetterKind | None, typer.Option("--kind", help="Only deliveries, or only tasks.")]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only of this endpoint (ep_…).")]
OfType = Annotated[str | None, typer.Option("--type", help="Only of tasks of this type.")]
OfEvent = Annotated[str | None, typer.Option("--event", help="Only what tells of this event: task.failed, …")]
OfError = Annotated[
    str | None,
    typer.Option("--error", help="Only what failed last for this: timeout, http_503, tls_expired, …"),
]
OfStatus = Annotated[
    str | None, typer.Option("--status", help="Only what was answered last with this status: 503, 5xx.")
]
OfText = Annotated[str | None, typer.Option("--text", help="Only with this text in the URL or the error.")]
OfReason = Annotated[
    str | None,
    typer.Option("--reason", help="Only what died for this reason: exhausted, gone, task_failed, …"),
]


def letters(
    *,
    kind: OfKind = None,
    endpoint: OfEndpoint = None,
    type_: OfType = None,
    event: OfEvent = None,
    error: OfError = None,
    status: OfStatus = None,
    text: OfText = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
) -> dict[str, Any]:
    """Return which dead letters are meant, but for the reason: a command may have another word for that."""
    return given(
        kind=kind,
        endpoint=endpoint,
        type=type_,
        event=event,
        error=error,
        status=status,
        text=text,
        since=since,
        until=until,
        partner=partner,
    )
