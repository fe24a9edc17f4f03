"""`webhookd replay`: many dead letters at once, paced. The workers do it; this asks for it and looks on."""

import time
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from webhookd.cli.client import THE_RULE, Api, open_api, path
from webhookd.cli.dead_letters import Kind
from webhookd.cli.options import Cursor, Json, Limit, Partner, Since, Until, given
from webhookd.cli.screen import (
    Column,
    column,
    error_console,
    print_facts,
    print_json,
    print_listing,
    state,
    tell,
    when,
)
from webhookd.core.errors import Unavailable

app = typer.Typer(add_completion=False, no_args_is_help=True)

_LOOK_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 60.0
_Replay = Annotated[str, typer.Argument(metavar="REPLAY_ID", help="The replay's id (rpl_…).")]


@app.callback(
    invoke_without_command=True,
    help="Replay the dead letters that match, and look on until it is done. Ctrl-C stops looking, not the "
    f"replay. {THE_RULE}",
)
def replay(
    ctx: typer.Context,
    *,
    kind: Annotated[Kind | None, typer.Option(help="Only deliveries, or only tasks.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint (ep_…).")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of tasks of this type.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only for this reason: exhausted, gone, task_failed, …")
    ] = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
    all_: Annotated[bool, typer.Option("--all", help="Every dead letter there is.")] = False,
    rate: Annotated[float | None, typer.Option(help="How many a second; 50 if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what matches.")] = False,
    json_output: Json = False,
) -> None:
    """Ask for a replay, unless a command below is meant."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = given(kind=kind, endpoint=endpoint, type=type_, reason=reason, since=since, until=until)
    if not (wanted or partner or all_ or dry_run):
        raise typer.BadParameter("say which dead letters, or --all", param_hint="OPTIONS")
    with open_api() as api:
        if partner is not None:
            wanted["partner"] = api.partner_id(partner)
        body = given(filter=wanted, dry_run=dry_run, rate_per_second=rate)
        document = api.post(path("replays"), body)
        if document["state"] == "running":
            try:
                document = _look_on(api, document)
            except KeyboardInterrupt:
                replay_id = document["id"]
                tell(
                    f"\nThe replay {replay_id} goes on by itself. See: webhookd replay status {replay_id}; "
                    f"stop it: webhookd replay cancel {replay_id}"
                )
                raise
    if json_output:
        print_json(document)
    elif dry_run:
        print(f"{document['matched']:,} dead letters match; nothing was replayed.")
    else:
        print(
            f"{document['replayed']:,} of {document['matched']:,} dead letters replayed ({document['id']})."
        )


@app.command("status")
def status(replay_id: _Replay, *, json_output: Json = False) -> None:
    """Show how far a replay has come."""
    with open_api() as api:
        document = api.get(path("replays", replay_id))
    _show(document, json_output=json_output)


@app.command("cancel")
def cancel(replay_id: _Replay, *, json_output: Json = False) -> None:
    """Stop a replay; what it has put back stays there."""
    with open_api() as api:
        document = api.post(path("replays", replay_id, "cancel"))
    _show(document, json_output=json_output)


@app.command("list")
def list_(
    *, partner: Partner = None, limit: Limit = 50, cursor: Cursor = None, json_output: Json = False
) -> None:
    """List replays, newest first."""
    with open_api() as api:
        query = {"partner": api.partner_id(partner)}
        document = api.listing(path("replays"), query, limit=limit, cursor=cursor)
    print_listing(
        document,
        (
            column("id"),
            Column(title="state", show=lambda row: state(row["state"])),
            Column(title="dry run", show=lambda row: row["dry_run"]),
            column("replayed", right=True),
            column("matched", right=True),
            Column(title="created", show=lambda row: when(row["created_at"])),
            column("filter"),
        ),
        json_output=json_output,
        none="No replays.",
    )


def _look_on(api: Api, document: dict[str, Any]) -> dict[str, Any]:
    """Return the replay once it is over. The API may be away for _PATIENCE_SECONDS, as in a restart."""
    console = error_console()
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=document["matched"])
        heard_at = time.monotonic()
        while document["state"] == "running":
            time.sleep(_LOOK_SECONDS)
            try:
                document = api.get(path("replays", document["id"]))
                heard_at = time.monotonic()
            except Unavailable:
                if time.monotonic() - heard_at > _PATIENCE_SECONDS:
                    raise
            progress.update(bar, total=document["matched"], completed=document["replayed"])
    return document


def _show(document: dict[str, Any], *, json_output: bool) -> None:
    if json_output:
        print_json(document)
        return
    print_facts(
        {
            "id": document["id"],
            "state": state(document["state"]),
            "replayed": f"{document['replayed']:,} of {document['matched']:,}",
            "dry run": document["dry_run"],
            "filter": document["filter"],
            "per second": document["rate_per_second"],
            "created": when(document["created_at"]),
            "finished": when(document["finished_at"]),
        }
    )
