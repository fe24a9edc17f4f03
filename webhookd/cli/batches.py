"""`webhookd batches`: many tasks with one end, from a file of lines to a file of results."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from webhookd.cli.batch_progress import batch_progress, tasks_left
from webhookd.cli.client import THE_RULE, Api, open_api, path
from webhookd.cli.following import follow
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, Partner, Since, Until, given, json_value, pairs, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, state, tell, when, whose
from webhookd.core.model import BatchState, TaskState

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Submit many tasks with one end. {THE_RULE}"
)

_TASKS_A_CALL: Final = 1_000
_Batch = Annotated[str, typer.Argument(metavar="BATCH_ID", help="The batch's id (batch_…).")]
_Lines = Annotated[
    str, typer.Argument(metavar="FILE", help="A task a line, each a JSON object; - for stdin.")
]


def _tell(batch: dict[str, Any]) -> None:
    counts = {name: number for name, number in batch["counts"].items() if number or name == "total"}
    print_facts(
        {
            "id": batch["id"],
            "partner": whose(batch),
            "state": state(batch["state"]),
            "tasks": ", ".join(f"{number} {name}" for name, number in counts.items()),
            "metadata": batch["metadata"],
            "callback": batch["callback_url"],
            "created": when(batch["created_at"]),
            "closed": when(batch["closed_at"]),
            "completed": when(batch["completed_at"]),
            "trace": batch["trace_id"],
        }
    )


_BATCH = ResourceCommands(app=app, step="batches", its_id=_Batch, tell=_tell)


@app.command("submit")
def submit(
    file: _Lines,
    *,
    type_: Annotated[str | None, typer.Option("--type", help="The type of tasks that name none.")] = None,
    defaults: Annotated[
        str | None, typer.Option(metavar="JSON", help="What tasks begin with: JSON, or @file.")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Where batch.completed goes, signed with the partner's own secret.")
    ] = None,
    endpoint: Annotated[
        list[str] | None, typer.Option(metavar="ENDPOINT_ID", help="Where it goes; may be given again.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Of the batch; repeatable.")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Let in those that are valid.")] = False,
    leave_open: Annotated[bool, typer.Option("--open", help="Do not close it: more will be added.")] = False,
    watch_: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    partner: Partner = None,
    json_output: Json = False,
) -> None:
    """Submit a batch of any number of tasks. With --watch, exit 1 where not all succeeded."""
    tasks = _tasks(file)
    first = next(tasks, ())
    second = next(tasks, None)
    begins: dict[str, Any] = {} if defaults is None else json_value(defaults)
    if type_ is not None:
        begins = {"type": type_, **begins}
    body = given(
        tasks=list(first),
        defaults=begins or None,
        callback_url=callback_url,
        endpoints=endpoint,
        metadata=pairs(metadata, separator="=") if metadata else None,
    )
    body |= {"partial": partial, "open": leave_open or second is not None}
    with open_api() as api:
        if partner is not None:
            body["partner"] = api.partner_id(partner)
        batch = api.post(path("batches"), body)
        _tell_refused(batch, 0)
        for number, more in enumerate([] if second is None else [second, *tasks], start=1):
            batch = _add(api, batch["id"], more, partial=partial, begins_at=number * _TASKS_A_CALL)
        if second is not None and not leave_open:
            batch = api.post(path("batches", batch["id"], "close"))
        if watch_:
            batch = _followed(api, batch["id"])
    _BATCH.show(batch, json_output=json_output)
    if watch_:
        _exit_by(batch)


@app.command("add")
def add(
    batch: _Batch,
    file: _Lines,
    *,
    partial: Annotated[bool, typer.Option("--partial", help="Let in those that are valid.")] = False,
    json_output: Json = False,
) -> None:
    """Add tasks to an open batch."""
    with open_api() as api:
        document = api.get(path("batches", batch))
        for number, more in enumerate(_tasks(file)):
            document = _add(api, batch, more, partial=partial, begins_at=number * _TASKS_A_CALL)
    _BATCH.show(document, json_output=json_output)


_BATCH.move("close", "Say that no more tasks will come.")
_BATCH.move("cancel", "Close a batch and cancel what has not ended of it.")
_BATCH.get("Show a batch as it is now.")


@app.command("watch")
def watch(batch: _Batch, *, json_output: Json = False) -> None:
    """Follow a batch to its end: exit 0 where all of it succeeded, 1 otherwise."""
    with open_api() as api:
        document = _followed(api, batch)
    _BATCH.show(document, json_output=json_output)
    _exit_by(document)


@app.command("tasks")
@taking(page=ListOptions)
def tasks_(
    batch: _Batch,
    *,
    state_: Annotated[TaskState | None, typer.Option("--state", help="Only in this state.")] = None,
    page: ListOptions,
) -> None:
    """List the tasks of a batch, in the order of their submission."""
    page.show(
        path("batches", batch, "tasks"),
        {"state": state_},
        (
            column("id"),
            column("type"),
            column("state", lambda row: state(row["state"])),
            column("attempts", right=True),
            column("finished", lambda row: when(row["finished_at"])),
            column("error", lambda row: row["error"] and row["error"]["code"]),
        ),
        none="No tasks.",
    )


@app.command("results")
def results(
    batch: _Batch,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; stdout if left out.")
    ] = None,
) -> None:
    """Write what has ended of a batch: a task a line, in the order of submission."""
    with open_api() as api:
        if output is None:
            sys.stdout.flush()
            api.fetch(path("batches", batch, "results"), sys.stdout.buffer)
            return
        with output.open("wb") as file:
            api.fetch(path("batches", batch, "results"), file)


@app.command("list")
@taking(page=ListOptions)
def list_(
    *,
    state_: Annotated[BatchState | None, typer.Option("--state", help="Only in this state.")] = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
    page: ListOptions,
) -> None:
    """List batches, newest first."""
    page.show(
        path("batches"),
        {"state": state_, "since": since, "until": until, "partner": partner},
        (
            column("id"),
            column("state", lambda row: state(row["state"])),
            column("tasks", lambda row: row["counts"]["total"], right=True),
            column("left", tasks_left, right=True),
            column("failed", lambda row: row["counts"]["failed"], right=True),
            column("created", lambda row: when(row["created_at"])),
            column("completed", lambda row: when(row["completed_at"])),
        ),
        none="No batches.",
    )


def _tasks(file: str) -> Iterator[tuple[Any, ...]]:
    """Yield the tasks of a file, as many at a time as a call takes. Raises BadParameter."""
    lines = _read_lines(file)
    while chunk := tuple(islice(lines, _TASKS_A_CALL)):
        yield chunk


def _read_lines(file: str) -> Iterator[Any]:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parsed(line, number)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from None


def _parsed(line: bytes, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise typer.BadParameter(f"line {number} is not JSON") from None


def _add(api: Api, batch_id: str, more: tuple[Any, ...], *, partial: bool, begins_at: int) -> dict[str, Any]:
    body = {"tasks": list(more), "partial": partial}
    batch: dict[str, Any] = api.post(path("batches", batch_id, "tasks"), body)
    _tell_refused(batch, begins_at)
    return batch


def _tell_refused(batch: dict[str, Any], begins_at: int) -> None:
    for one in batch["refused"]:
        error = one["error"]
        wrong = ", ".join(f"{part['path']} {part['message']}" for part in error.get("errors", ()))
        tell(f"task {begins_at + one['index'] + 1} was refused: {wrong or error['detail']}")


def _followed(api: Api, batch_id: str) -> dict[str, Any]:
    with batch_progress() as show:
        return follow(api, batch_id, seconds=None, show=show, noun="batches")


def _exit_by(batch: dict[str, Any]) -> None:
    if batch["counts"]["succeeded"] != batch["counts"]["total"]:
        raise typer.Exit(1)
