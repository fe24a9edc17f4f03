"""`webhookd partners`: who may submit tasks."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Cursor, Json, Limit, given
from webhookd.cli.screen import Column, column, print_facts, print_json, print_listing, state, tell, when

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=f"Make and list partners. {THE_RULE} The key must be an admin's.",
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What to call the partner.")],
    *,
    weight: Annotated[
        int | None, typer.Option(min=1, help="Its share of busy workers, against the others'.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Tasks per second it may submit.")] = None,
    burst: Annotated[int | None, typer.Option(help="Tasks it may submit at once.")] = None,
    max_queued: Annotated[int | None, typer.Option(help="Tasks of it that may wait.")] = None,
    task_type: Annotated[
        list[str] | None, typer.Option(help="A type it may submit, or report.*; repeat. All if left out.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Make a partner; its key and its signing secret are shown this once."""
    limits = given(rate_per_second=rate, burst=burst, max_queued=max_queued)
    body = given(name=name, weight=weight, limits=limits or None, task_types=task_type)
    with open_api() as api:
        made = api.post(path("partners"), body)
    if json_output:
        print_json(made)
        return
    print_facts({field: made[field] for field in ("id", "name", "key", "secret")})
    tell("The key and the secret are shown this once: keep them.")


@app.command("list")
def list_(*, limit: Limit = 50, cursor: Cursor = None, json_output: Json = False) -> None:
    """List partners, newest first."""
    with open_api() as api:
        document = api.listing(path("partners"), {}, limit=limit, cursor=cursor)
    print_listing(
        document,
        (
            column("id"),
            column("name"),
            Column(title="state", show=lambda row: state("suspended") if row["suspended"] else "active"),
            column("weight", right=True),
            Column(title="per second", show=lambda row: row["limits"]["rate_per_second"], right=True),
            Column(title="burst", show=lambda row: row["limits"]["burst"], right=True),
            Column(title="may wait", show=lambda row: row["limits"]["max_queued"], right=True),
            Column(title="created", show=lambda row: when(row["created_at"])),
        ),
        json_output=json_output,
        none="There are no partners yet: `webhookd partners create NAME` makes one.",
    )
