"""`webhookd queues`: how deep, how old, how fast; pausing and resuming."""

from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Json
from webhookd.cli.screen import Column, column, duration, print_facts, print_json, print_listing, state

app = typer.Typer(add_completion=False, no_args_is_help=False)

_Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
_MOST: Final = 10_000


@app.callback(
    invoke_without_command=True,
    help=f"Show the depths of queues; pause and resume them. {THE_RULE} The key must be an admin's.",
)
def queues(ctx: typer.Context, *, json_output: Json = False) -> None:
    """List the queues, unless a command below is meant."""
    if ctx.invoked_subcommand is not None:
        return
    with open_api() as api:
        document = api.listing(path("queues"), {}, limit=_MOST, cursor=None)
    print_listing(
        document,
        (
            column("queue", "name"),
            Column(title="state", show=lambda row: state("paused") if row["paused"] else "open"),
            column("queued", "depth", right=True),
            column("running", right=True),
            column("scheduled", right=True),
            Column(title="oldest", show=lambda row: _seconds(row["oldest_age_seconds"]), right=True),
            Column(title="per second", show=lambda row: row["rate_per_second"], right=True),
            Column(title="empty in", show=lambda row: _seconds(row["drain_seconds"]), right=True),
            column("workers wanted", "desired_workers", right=True),
        ),
        json_output=json_output,
        none="No queues yet: each has its row from its first task on.",
    )


@app.command("pause")
def pause(queue: _Queue, *, json_output: Json = False) -> None:
    """Start no more of a queue's tasks; what runs goes on."""
    _set(queue, "pause", json_output=json_output)


@app.command("resume")
def resume(queue: _Queue, *, json_output: Json = False) -> None:
    """Start a queue's tasks again."""
    _set(queue, "resume", json_output=json_output)


def _set(queue: str, move: str, *, json_output: bool) -> None:
    with open_api() as api:
        document: dict[str, Any] = api.post(path("queues", queue, move))
    if json_output:
        print_json(document)
    else:
        print_facts({"queue": document["name"], "paused": document["paused"]})


def _seconds(value: float | None) -> str | None:
    return None if value is None else duration(value * 1000)
