"""`webhookd queues`: how deep, how old, how fast; pausing and resuming."""

from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Json
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import Column, column, duration, print_facts, print_listing, state

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


def _tell(queue: dict[str, Any]) -> None:
    print_facts({"queue": queue["name"], "paused": queue["paused"]})


_QUEUE = ResourceCommands(app=app, step="queues", its_id=_Queue, tell=_tell)
_QUEUE.move("pause", "Start no more of a queue's tasks; what runs goes on.")
_QUEUE.move("resume", "Start a queue's tasks again.")


def _seconds(value: float | None) -> str | None:
    return None if value is None else duration(value * 1000)
