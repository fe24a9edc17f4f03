"""`webhookd audit`: who changed what, when, from where and why."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Cursor, Json, Limit, Partner, Since, Until
from webhookd.cli.screen import Column, column, print_listing, when

app = typer.Typer(add_completion=False)


@app.command(
    help=f"Show who changed what, from where and why, newest first. {THE_RULE} The key must be an admin's."
)
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
    limit: Limit = 50,
    cursor: Cursor = None,
    json_output: Json = False,
) -> None:
    """Show who changed what."""
    with open_api() as api:
        query = {
            "actor": actor,
            "action": action,
            "target": target,
            "partner": api.partner_id(partner),
            "since": since,
            "until": until,
        }
        document = api.listing(path("audit"), query, limit=limit, cursor=cursor)
    print_listing(
        document,
        (
            Column(title="at", show=lambda row: when(row["at"])),
            column("actor"),
            Column(title="from", show=lambda row: row["address"]),
            column("action"),
            column("target"),
            column("partner"),
            Column(title="why", show=lambda row: row["reason"]),
            Column(
                title="detail",
                show=lambda row: (
                    {name: row["detail"][name] for name in row["detail"] if name != "reason"} or None
                ),
            ),
        ),
        json_output=json_output,
        none="Nothing of the kind was changed.",
    )
