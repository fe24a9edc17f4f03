"""`webhookd queues`: how deep, how old, how fast; pausing and resuming."""

from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, duration, print_facts, state

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
    ListOptions(limit=_MOST, json_output=json_output).show(
        path("queues"),
        {},
        (
            column("queue", "name"),
            column("state", lambda row: state("paused") if row["paused"] else "open"),
            column("queued", "depth", right=True),
            column("running", right=True),
            column("scheduled", right=True),
            column("oldest", lambda row: _seconds(row["oldest_age_seconds"]), right=True),
            column("per second", lambda row: row["rate_per_second"], right=True),
            column("empty in", lambda row: _seconds(row["drain_seconds"]), right=True),
            column("workers wanted", "desired_workers", right=True),
        ),
        none="No queues yet: each has its row from its first task on.",
    )


def _tell(queue: dict[str, Any]) -> None:
    print_facts({"queue": queue["name"], "paused": queue["paused"]})


_QUEUE = ResourceCommands(app=app, step="queues", its_id=_Queue, tell=_tell)
_QUEUE.move("pause", "Start no more of a queue's tasks; what runs goes on.")
_QUEUE.move("resume", "Start a queue's tasks again.")


def _seconds(value: float | None) -> str | None:
    return None if value is None else duration(value * 1000)
