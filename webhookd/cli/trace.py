"""`webhookd trace`: the whole life of whatever an id names, as one timeline."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Json
from webhookd.cli.screen import console, duration, print_json, printable, state, tell, when
from webhookd.core.times import parse_rfc3339

app = typer.Typer(add_completion=False)

Entry = dict[str, Any]

_PARTS: Final = {"dns": "dns_ms", "connect": "connect_ms", "tls": "tls_ms", "first byte": "first_byte_ms"}


@app.command(
    help="Show the whole life of a task, by its id or that of its message or delivery, or of a whole trace. "
    + THE_RULE
)
def trace(
    any_id: Annotated[
        str, typer.Argument(metavar="ID", help="task_…, msg_…, dlv_…, or a trace's 32 hex digits.")
    ],
    *,
    json_output: Json = False,
) -> None:
    """Print the timeline."""
    with open_api() as api:
        document = api.get(path("traces", any_id))
    if json_output:
        print_json(document)
        return
    out = console()
    out.print(Text.assemble(("trace ", "dim"), document["trace_id"]), soft_wrap=True)
    tasks = document["tasks"]
    shown = tasks if any_id == document["trace_id"] else tasks[:1]
    for task in shown:
        head = Text.assemble("\n", (printable(task["type"]), "bold"), f"  {task['task_id']}  ")
        out.print(head + state(task["state"]), soft_wrap=True)
        out.print(_timeline(task["entries"], any_id))
    if document["entries"]:
        out.print()
        out.print(_timeline(document["entries"], any_id))
    if others := len(tasks) - len(shown):
        tell(f"In the same trace: {others} tasks. All of them: webhookd trace {document['trace_id']}")
    elif not document["complete"]:
        tell("The trace has more than is shown.")


def _timeline(entries: list[Entry], wanted: str) -> Table:
    """Return a line an entry: time since the first, a mark, what happened, how long it took."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    if not entries:
        return table
    urls = {entry["delivery_id"]: entry["url"] for entry in entries if entry["kind"] == "delivery.created"}
    start_ms = parse_rfc3339(entries[0]["at"])
    table.add_row("", "", Text(str(when(entries[0]["at"])), "dim"), "")
    for entry in entries:
        mark, colour = _mark(entry)
        what = Text(printable(_sentence(entry)))
        for part in _details(entry, urls):
            what.append(f"  {printable(part)}", "dim")
        if wanted in (entry.get("delivery_id"), entry.get("message_id")):
            what.stylize("bold")
        took = entry["duration_ms"]
        table.add_row(
            f"+{duration(parse_rfc3339(entry['at']) - start_ms)}",
            Text(mark, colour),
            what,
            "" if took is None else duration(took),
        )
    return table


def _sentence(entry: Entry) -> str:
    words = {name: "" if value is None else value for name, value in entry.items()}
    if "until" in words:
        words["until"] = when(entry["until"])
    return _WHAT[entry["kind"]].format_map(words).rstrip()


def _mark(entry: Entry) -> tuple[str, str]:
    kind = entry["kind"]
    if kind in ("delivery.attempt", "run.finished"):
        return ("✗", "red") if entry["error"] else ("✓", "green")
    return _MARKS.get(kind, ("·", "dim"))


def _details(entry: Entry, urls: Mapping[str, str | None]) -> Iterator[str]:
    """What stands behind it in grey: where to, why, and what of the time went where."""
    kind = entry["kind"]
    if kind == "delivery.attempt":
        yield f"to {urls.get(entry['delivery_id']) or entry['delivery_id']}"
        timing = [f"{name} {duration(entry[at])}" for name, at in _PARTS.items() if entry[at] is not None]
        if timing:
            yield ", ".join(timing)
    elif kind.startswith("delivery.") and kind != "delivery.created":
        yield str(entry["delivery_id"])
    if kind == "delivery.created" and entry["next_attempt_at"]:
        yield f"next attempt {when(entry['next_attempt_at'])}"
    if entry.get("error") and isinstance(entry["error"], dict):
        yield f"{entry['error']['code']}: {entry['error']['message']}"


_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "received": ("▶", "blue"),
    "run.started": ("▷", "cyan"),
    "cancel.requested": ("■", "yellow"),
    "retry.scheduled": ("↻", "yellow"),
    "succeeded": ("●", "green"),
    "failed": ("●", "red"),
    "cancelled": ("●", "yellow"),
    "expired": ("●", "yellow"),
    "message": ("✉", "blue"),
    "delivery.parked": ("‖", "yellow"),
    "delivery.delivered": ("●", "green"),
    "delivery.dead": ("●", "red"),
    "delivery.cancelled": ("●", "yellow"),
}

_WHAT: Final[Mapping[str, str]] = {
    "received": "received",
    "scheduled": "scheduled for {until}",
    "queued": "waits in queue {queue}",
    "run.started": "try {attempt} starts",
    "run.finished": "try {attempt} {outcome}",
    "cancel.requested": "cancelling is asked for",
    "retry.scheduled": "next try {until}",
    "succeeded": "task succeeded",
    "failed": "task failed",
    "cancelled": "task cancelled",
    "expired": "task expired",
    "message": "message {event} {message_id}",
    "delivery.created": "delivery {delivery_id} to {url}",
    "delivery.parked": "parked",
    "delivery.attempt": "attempt {attempt}: {status} {error}",
    "delivery.delivered": "delivered",
    "delivery.dead": "dead: {reason}",
    "delivery.cancelled": "delivery cancelled",
}
"""A sentence for every kind of entry (`core.timeline.KINDS`)."""
