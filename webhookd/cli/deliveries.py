"""`webhookd deliveries`: messages on their way, and every attempt at them."""

from typing import Annotated, Any

import typer

from webhookd.cli.attempts import print_attempt
from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.letter_options import OfError, OfEvent, OfStatus, OfType
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, Partner, Since, Until, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, state, tell, when, whose
from webhookd.core.model import DeliveryState

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Look at deliveries, send again, cancel. {THE_RULE}"
)

_Delivery = Annotated[str, typer.Argument(metavar="DELIVERY_ID", help="The delivery's id (dlv_…).")]


def _tell(delivery: dict[str, Any]) -> None:
    print_facts(
        {
            "id": delivery["id"],
            "partner": whose(delivery),
            "state": state(delivery["state"]),
            "reason": delivery["dead_reason"],
            "event": delivery["event"],
            "message": delivery["message_id"],
            "task": delivery["task_id"],
            "endpoint": delivery["endpoint_id"],
            "url": delivery["url"],
            "attempts": f"{delivery['attempts']}, {delivery['attempts_left']} left",
            "last": delivery["last_error"] or (delivery["last_status"] and str(delivery["last_status"])),
            "next attempt": _next_attempt(delivery),
            "created": when(delivery["created_at"]),
            "delivered": when(delivery["delivered_at"]),
        }
    )


_DELIVERY = ResourceCommands(app=app, step="deliveries", its_id=_Delivery, tell=_tell)


@app.command("list")
@taking(page=ListOptions)
def list_(
    *,
    state_: Annotated[DeliveryState | None, typer.Option("--state", help="Only in this state.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only to this endpoint (ep_…).")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task (task_…).")] = None,
    type_: OfType = None,
    event: OfEvent = None,
    error: OfError = None,
    status: OfStatus = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
    page: ListOptions,
) -> None:
    """List deliveries, newest first."""
    query = {"state": state_, "endpoint": endpoint, "task": task, "since": since, "until": until}
    query |= {"type": type_, "event": event, "error": error, "status": status, "partner": partner}
    page.show(
        path("deliveries"),
        query,
        (
            column("id"),
            column("state", lambda row: state(row["state"])),
            column("event"),
            column("attempts"),
            column("left", lambda row: str(row["attempts_left"]), right=True),
            column("last", lambda row: row["last_status"] and str(row["last_status"])),
            column("error", lambda row: row["dead_reason"] or row["last_error"]),
            column("created", lambda row: when(row["created_at"])),
            column("next attempt", _next_attempt),
            column("url"),
        ),
        none="No deliveries.",
    )


@app.command("get")
def get(delivery: _Delivery, *, json_output: Json = False) -> None:
    """Show a delivery and each attempt, with a cURL line that repeats it by hand."""
    with open_api() as api:
        document = api.get(path("deliveries", delivery))
    _DELIVERY.show(document, json_output=json_output)
    if not json_output:
        if omitted := document["attempts_omitted"]:
            tell(f"The {omitted} oldest attempts are not shown.")
        for attempt in document["attempts_log"]:
            print_attempt(attempt)


_DELIVERY.move("replay", "Deliver the same message again: same id, same bytes, a fresh budget of attempts.")
_DELIVERY.move("cancel", "End a pending or parked delivery.")


def _next_attempt(delivery: dict[str, Any]) -> str | None:
    return "under way" if delivery["in_flight"] else when(delivery["next_attempt_at"])
