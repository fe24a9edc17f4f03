"""Options that say which deliveries, tasks or dead letters are meant: the same words in every command."""

from enum import StrEnum
from typing import Annotated

import typer


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
