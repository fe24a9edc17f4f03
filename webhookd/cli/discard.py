"""`webhookd discard`: many dead letters at once, off the list for good."""

from typing import Annotated, Final

import typer

from webhookd.cli.choosing import OfEndpoint, OfError, OfEvent, OfKind, OfStatus, OfText, OfType
from webhookd.cli.client import THE_RULE
from webhookd.cli.errands import ErrandWords, add_commands
from webhookd.cli.options import Json, Partner, Since, Until, given

app = typer.Typer(add_completion=False)

DISCARD: Final = ErrandWords(noun="discard", doing="discarding", done="discarded")


@app.callback(
    invoke_without_command=True,
    help="Discard the dead letters that match: they cannot be replayed from the list any more. The "
    f"deliveries, with their attempts, stay. {THE_RULE}",
)
def discard(
    ctx: typer.Context,
    *,
    kind: OfKind = None,
    endpoint: OfEndpoint = None,
    type_: OfType = None,
    event: OfEvent = None,
    died_of: Annotated[
        str | None, typer.Option(help="Only what died for this reason: exhausted, gone, task_failed, …")
    ] = None,
    error: OfError = None,
    status: OfStatus = None,
    text: OfText = None,
    since: Since = None,
    until: Until = None,
    partner: Partner = None,
    all_: Annotated[bool, typer.Option("--all", help="Every dead delivery there is.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why they are discarded; the audit keeps it.")] = None,
    rate: Annotated[float | None, typer.Option(help="How many a second; 1,000 if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what matches.")] = False,
    json_output: Json = False,
) -> None:
    """Ask for a discard, unless a command below is meant."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = given(
        kind=kind,
        endpoint=endpoint,
        type=type_,
        event=event,
        reason=died_of,
        error=error,
        status=status,
        text=text,
        since=since,
        until=until,
        partner=partner,
    )
    if not (wanted or all_ or dry_run):
        raise typer.BadParameter("say which dead letters, or --all", param_hint="OPTIONS")
    if reason is None and not dry_run:
        raise typer.BadParameter("say why, for the audit", param_hint="--reason")
    everything = True if not wanted else None
    body = given(filter=wanted, all=everything, dry_run=dry_run, rate_per_second=rate, reason=reason)
    DISCARD.ask(body, what="dead letters", json_output=json_output)


add_commands(app, DISCARD, "dsc")
