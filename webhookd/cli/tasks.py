"""`webhookd tasks`: submitting, looking at, following and cancelling tasks."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.following import follow, task_progress
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import (
    Cursor,
    Json,
    Limit,
    Partner,
    Since,
    Until,
    future,
    given,
    json_value,
    pairs,
    taking,
)
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, print_json, print_text, state, tell, when, whose
from webhookd.core.model import TaskState

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Submit, watch, list and cancel tasks. {THE_RULE}"
)

_Task = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task's id (task_…).")]


class PriorityName(StrEnum):
    """Priorities on the wire."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def _tell(task: dict[str, Any]) -> None:
    progress, error = task["progress"], task["error"]
    percent = None if progress["percent"] is None else f"{progress['percent']:.0f} %"
    print_facts(
        {
            "id": task["id"],
            "partner": whose(task),
            "type": task["type"],
            "state": state(task["state"]),
            "error": None if error is None else f"{error['code']}: {error['message']}",
            "result": task["result"],
            "progress": None if task["done"] else " ".join(filter(None, (percent, progress["message"]))),
            "attempts": task["attempts"],
            "metadata": task["metadata"],
            "deliveries": _deliveries(task),
            "callback": task["callback_url"],
            "created": when(task["created_at"]),
            "runs at": None if task["done"] else when(task["run_at"]),
            "started": when(task["started_at"]),
            "finished": when(task["finished_at"]),
            "trace": task["trace_id"],
        }
    )


_TASK = ResourceCommands(app=app, step="tasks", its_id=_Task, tell=_tell)


@app.command("submit")
def submit(
    type_: Annotated[
        str, typer.Argument(metavar="TYPE", help="The task's type: see `webhookd tasks types`.")
    ],
    *,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="Its input: JSON, @file, or - for stdin.")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Where to send the outcome, signed with the partner's own secret.")
    ] = None,
    endpoint: Annotated[
        list[str] | None, typer.Option(metavar="ENDPOINT_ID", help="Where to send it; may be given again.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="Only these events, such as task.failed; may be given again.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Comes back with the outcome; repeatable.")
    ] = None,
    priority: Annotated[
        PriorityName | None, typer.Option(help="Before or after the partner's other tasks.")
    ] = None,
    run_at: Annotated[
        str | None,
        typer.Option(parser=future, metavar="TIME", help="Not before then: a time, or 15m, 2h from now."),
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(parser=future, metavar="TIME", help="Not started later than then.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key again makes no second task.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Wait so long for its end.")
    ] = None,
    partner: Partner = None,
    json_output: Json = False,
) -> None:
    """Submit a task. With --wait, exit 1 where it ended in any other way than succeeded."""
    body = given(
        type=type_,
        input=None if input_ is None else json_value(input_),
        callback_url=callback_url,
        endpoints=endpoint,
        events=event,
        metadata=pairs(metadata, separator="=") if metadata else None,
        priority=priority,
        run_at=run_at,
        expires_at=expires_at,
    )
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    with open_api() as api:
        if partner is not None:
            body["partner"] = api.partner_id(partner)
        task = api.post(path("tasks"), body, headers=headers)
        if wait is not None:
            with task_progress() as show:
                task = follow(api, task["id"], seconds=wait, show=show)
    _TASK.show(task, json_output=json_output)
    if wait is not None and task["done"]:
        _exit_by(task)


_TASK.get("Show a task as it is now.")


@app.command("watch")
def watch(task: _Task, *, json_output: Json = False) -> None:
    """Follow a task to its end: exit 0 where it succeeded, 1 otherwise."""
    with open_api() as api, task_progress() as show:
        document = follow(api, task, seconds=None, show=show)
    _TASK.show(document, json_output=json_output)
    _exit_by(document)


_TASK.move("cancel", "Cancel a task: a waiting one at once, a running one is told to stop.")
_TASK.move("rerun", "Run a task that has ended again, as a new one.")


@app.command("list")
@taking(page=ListOptions)
def list_(
    *,
    state_: Annotated[TaskState | None, typer.Option("--state", help="Only in this state.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only of this batch (batch_…).")] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only with this in the metadata; up to three times."),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Only what was submitted with this Idempotency-Key.")
    ] = None,
    rerun_of: Annotated[str | None, typer.Option(help="Only what runs this task again (task_…).")] = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
    page: ListOptions,
) -> None:
    """List tasks, newest first."""
    query = {"state": state_, "type": type_, "batch": batch, "since": since, "until": until}
    query |= {"idempotency_key": idempotency_key, "rerun_of": rerun_of, "partner": partner}
    found = pairs(metadata or [], separator="=")
    query |= {f"metadata.{name}": value for name, value in found.items()}
    page.show(
        path("tasks"),
        query,
        (
            column("id"),
            column("type"),
            column("state", lambda row: state(row["state"])),
            column("attempts", right=True),
            column("deliveries", _deliveries),
            column("created", lambda row: when(row["created_at"])),
            column("finished", lambda row: when(row["finished_at"])),
            column("error", lambda row: row["error"] and row["error"]["code"]),
        ),
        none="No tasks.",
    )


@app.command("runs")
def runs(task: _Task, *, json_output: Json = False) -> None:
    """Show each run of a task: where, when, how it ended, what it logged, and to admins what it raised."""
    with open_api() as api:
        document = api.listing(path("tasks", task, "runs"), {}, limit=_MOST_RUNS, cursor=None)
    if json_output:
        print_json(document)
        return
    for run in document["data"]:
        error, raised = run["error"], run["exception"]
        print_facts(
            {
                "run": run["number"],
                "outcome": state(run["outcome"]),
                "error": None if error is None else f"{error['code']}: {error['message']}",
                "worker": None if run["host"] is None else f"{run['host']}, process {run['pid']}",
                "started": when(run["started_at"]),
                "finished": when(run["finished_at"]),
            }
        )
        for line in (*(run["log"] or ()), *(() if raised is None else raised["traceback"].splitlines())):
            print_text(f"  {line}")
    if not document["data"]:
        tell("It has not run yet.")


@app.command("types")
def types(*, limit: Limit = 500, cursor: Cursor = None, json_output: Json = False) -> None:
    """List the types of tasks that can be submitted, in the order of their names."""
    ListOptions(limit=limit, cursor=cursor, json_output=json_output).show(
        path("task-types"),
        {},
        (
            column("type"),
            column("queue"),
            column("input", lambda row: list(row["input_schema"].get("properties", ()))),
            column("tries", lambda row: row["max_attempts"], right=True),
            column("description"),
        ),
        none="No task types.",
    )


_MOST_RUNS: Final = 10_000


def _deliveries(task: dict[str, Any]) -> str | None:
    counts = task["deliveries"]
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or None


def _exit_by(task: dict[str, Any]) -> None:
    if task["state"] != TaskState.SUCCEEDED:
        raise typer.Exit(1)
