"""`webhookd partners`: who may submit tasks."""

from typing import Annotated, Any

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, given, taking
from webhookd.cli.screen import column, print_facts, print_json, state, tell, when

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=f"Make, list, limit and suspend partners. {THE_RULE} The key must be an admin's.",
)

_Partner = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner, by id or name.")]
_Weight = Annotated[int | None, typer.Option(min=1, help="Its share of busy workers, against the others'.")]
_Rate = Annotated[float | None, typer.Option(help="Tasks per second it may submit.")]
_Burst = Annotated[int | None, typer.Option(help="Tasks it may submit at once.")]
_MaxQueued = Annotated[int | None, typer.Option(help="Tasks of it that may wait.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What to call the partner.")],
    *,
    weight: _Weight = None,
    rate: _Rate = None,
    burst: _Burst = None,
    max_queued: _MaxQueued = None,
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
@taking(page=ListOptions)
def list_(*, page: ListOptions) -> None:
    """List partners, newest first."""
    page.show(
        path("partners"),
        {},
        (
            column("id"),
            column("name"),
            column("state", lambda row: state("suspended") if row["suspended"] else "active"),
            column("weight", right=True),
            column("per second", lambda row: row["limits"]["rate_per_second"], right=True),
            column("burst", lambda row: row["limits"]["burst"], right=True),
            column("may wait", lambda row: row["limits"]["max_queued"], right=True),
            column("created", lambda row: when(row["created_at"])),
        ),
        none="There are no partners yet: `webhookd partners create NAME` makes one.",
    )


@app.command("limits")
def limits(
    partner: _Partner,
    *,
    weight: _Weight = None,
    rate: _Rate = None,
    burst: _Burst = None,
    max_queued: _MaxQueued = None,
    task_type: Annotated[
        list[str] | None,
        typer.Option(help="A type it may submit, or report.*; repeat. They take the place of those before."),
    ] = None,
    all_task_types: Annotated[bool, typer.Option("--all-task-types", help="It may submit any.")] = False,
    json_output: Json = False,
) -> None:
    """Show a partner's limits, after changing those that are named."""
    if task_type and all_task_types:
        raise typer.BadParameter("name types, or give --all-task-types", param_hint="--task-type")
    body = given(
        weight=weight,
        limits=given(rate_per_second=rate, burst=burst, max_queued=max_queued) or None,
        task_types=task_type,
    )
    if all_task_types:
        body["task_types"] = None
    with open_api() as api:
        where = path("partners", str(api.partner_id(partner)))
        document = api.call("PATCH", where, body=body) if body else api.get(where)
    _show(document, json_output=json_output)


@app.command("suspend")
def suspend(partner: _Partner, *, json_output: Json = False) -> None:
    """Refuse a partner's keys for the time being; what it has submitted goes on."""
    _set_suspended(partner, suspended=True, json_output=json_output)


@app.command("resume")
def resume(partner: _Partner, *, json_output: Json = False) -> None:
    """Take a suspended partner's keys again."""
    _set_suspended(partner, suspended=False, json_output=json_output)


def _set_suspended(partner: str, *, suspended: bool, json_output: bool) -> None:
    with open_api() as api:
        where = path("partners", str(api.partner_id(partner)))
        document = api.call("PATCH", where, body={"suspended": suspended})
    _show(document, json_output=json_output)


def _show(document: dict[str, Any], *, json_output: bool) -> None:
    if json_output:
        print_json(document)
        return
    print_facts(
        {
            "id": document["id"],
            "name": document["name"],
            "state": state("suspended") if document["suspended"] else "active",
            "weight": document["weight"],
            **{name.replace("_", " "): value for name, value in document["limits"].items()},
            "task types": ", ".join(document["task_types"] or ()) or "all",
        }
    )
