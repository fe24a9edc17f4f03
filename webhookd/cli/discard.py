"""`webhookd discard`: many dead letters at once, off the list for good."""

from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE
from webhookd.cli.errands import ErrandWords, add_commands
from webhookd.cli.letter_options import letters
from webhookd.cli.options import Json, given, taking

app = typer.Typer(add_completion=False)

DISCARD: Final = ErrandWords(noun="discard", doing="discarding", done="discarded")


@app.callback(
    invoke_without_command=True,
    help="Discard the dead letters that match: they cannot be replayed from the list any more. The "
    f"deliveries, with their attempts, stay. {THE_RULE}",
)
@taking(chosen=letters)
def discard(
    ctx: typer.Context,
    *,
    died_of: Annotated[
        str | None, typer.Option(help="Only what died for this reason: exhausted, gone, task_failed, …")
    ] = None,
    chosen: dict[str, Any],
    all_: Annotated[bool, typer.Option("--all", help="Every dead delivery there is.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why they are discarded; the audit keeps it.")] = None,
    rate: Annotated[float | None, typer.Option(help="How many a second; 1,000 if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what matches.")] = False,
    json_output: Json = False,
) -> None:
    """Ask for a discard, unless a command below is meant."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = chosen | given(reason=died_of)
    if not (wanted or all_ or dry_run):
        raise typer.BadParameter("say which dead letters, or --all", param_hint="OPTIONS")
    if reason is None and not dry_run:
        raise typer.BadParameter("say why, for the audit", param_hint="--reason")
    everything = True if not wanted else None
    body = given(filter=wanted, all=everything, dry_run=dry_run, rate_per_second=rate, reason=reason)
    DISCARD.ask(body, what="dead letters", json_output=json_output)


add_commands(app, DISCARD, "dsc")
