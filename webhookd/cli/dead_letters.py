"""`webhookd dead-letters`: what ran out of attempts, one by one. Many at once are `replay`'s."""

from typing import Annotated, Any

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.letter_options import LetterKind, OfReason, letters
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, print_json, state, tell, when, whose
from webhookd.core.listing import GROUP_KEYS

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Look at dead letters, replay, discard. {THE_RULE}"
)


_HOUR = column("hour", lambda row: when(row["hour"]))
_Letter = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the delivery (dlv_…) or the task (task_…) that died.")
]


def _tell(letter: dict[str, Any]) -> None:
    print_facts({**letter, "partner": whose(letter), "at": when(letter["at"])})
    more = "deliveries get" if letter["kind"] == LetterKind.DELIVERY else "tasks get"
    tell(f"More: webhookd {more} {letter['id']}; webhookd trace {letter['id']}")


_LETTER = ResourceCommands(app=app, step="dead-letters", its_id=_Letter, tell=_tell)


@app.command("list")
@taking(chosen=letters, page=ListOptions)
def list_(
    *,
    reason: OfReason = None,
    chosen: dict[str, Any],
    page: ListOptions,
) -> None:
    """List dead letters, the latest first."""
    page.show(
        path("dead-letters"),
        {"reason": reason, **chosen},
        (
            column("id"),
            column("reason", lambda row: row["reason"]),
            column("type"),
            column("event"),
            column("died", lambda row: when(row["at"])),
            column("last error", lambda row: row["last_error"]),
            column("url"),
        ),
        none="No dead letters.",
    )


@app.command("summary")
@taking(chosen=letters, page=ListOptions)
def summary(
    *,
    by: Annotated[
        str,
        typer.Option(help=f"What to count by: {', '.join(GROUP_KEYS)}; with commas."),
    ] = "endpoint,error",
    reason: OfReason = None,
    chosen: dict[str, Any],
    page: ListOptions,
) -> None:
    """Count them by what they have in common, the most first: where they died, and why."""
    page.show(
        path("dead-letters", "summary"),
        {"group_by": by, "reason": reason, **chosen},
        (
            column("count", right=True),
            *(_HOUR if name == "hour" else column(name) for name in by.split(",") if name != "partner"),
            column("first", lambda row: when(row["first_at"])),
            column("last", lambda row: when(row["last_at"])),
        ),
        none="No dead letters.",
    )


_LETTER.get("Show one dead letter.", name="show")


@app.command("replay")
def replay(letter: _Letter, *, json_output: Json = False) -> None:
    """Bring one back to life with fresh attempts: a delivery with the same bytes, a task to its queue."""
    with open_api() as api:
        document: dict[str, Any] = api.post(path("dead-letters", letter, "replay"))
    if json_output:
        print_json(document)
        return
    print_facts({"id": document["id"], "state": state(document["state"])})


_LETTER.remove(
    "discard", "Take one off the list; it cannot be replayed from there any more.", done="discarded"
)
