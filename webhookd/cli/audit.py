"""`webhookd audit`: who changed what, when, from where and why."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Partner, Since, Until, taking
from webhookd.cli.screen import column, when

app = typer.Typer(add_completion=False)


@app.command(
    help=f"Show who changed what, from where and why, newest first. {THE_RULE} The key must be an admin's."
)
@taking(page=ListOptions)
def audit(
    *,
    actor: Annotated[
        str | None, typer.Option(help="Only by this one: a key's name or id, or operator@host.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="Only this kind of change: endpoint.disable, …")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this id.")] = None,
    partner: Partner = None,
    since: Since = None,
    until: Until = None,
    page: ListOptions,
) -> None:
    """Show who changed what."""
    query = {"actor": actor, "action": action, "target": target}
    page.show(
        path("audit"),
        query | {"partner": partner, "since": since, "until": until},
        (
            column("at", lambda row: when(row["at"])),
            column("actor"),
            column("from", lambda row: row["address"]),
            column("action"),
            column("target"),
            column("partner"),
            column("why", lambda row: row["reason"]),
            column(
                "detail",
                lambda row: {name: row["detail"][name] for name in row["detail"] if name != "reason"} or None,
            ),
        ),
        none="Nothing of the kind was changed.",
    )
