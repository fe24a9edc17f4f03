"""`webhookd replay`: many dead letters at once, or what waits, paced."""

from typing import Annotated, Any, Final

import typer

from webhookd.cli.client import THE_RULE
from webhookd.cli.errands import ErrandWords, add_commands
from webhookd.cli.letter_options import OfReason, letters
from webhookd.cli.options import Json, given, taking

app = typer.Typer(add_completion=False)

REPLAY: Final = ErrandWords(noun="replay", doing="replaying", done="replayed")


@app.callback(
    invoke_without_command=True,
    help="Replay the dead letters that match, and look on until it is done. Ctrl-C stops looking, not the "
    f"replay. {THE_RULE}",
)
@taking(chosen=letters)
def replay(
    ctx: typer.Context,
    *,
    pending: Annotated[
        bool, typer.Option("--pending", help="Send now what waits, in place of what is dead.")
    ] = False,
    reason: OfReason = None,
    chosen: dict[str, Any],
    all_: Annotated[
        bool, typer.Option("--all", help="Everything there is: name what it is not for.")
    ] = False,
    rate: Annotated[float | None, typer.Option(help="How many a second; 50 if left out.")] = None,
    why: Annotated[str | None, typer.Option(help="Why, for the audit and who looks at it later.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what matches.")] = False,
    json_output: Json = False,
) -> None:
    """Ask for a replay, unless a command below is meant."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = chosen | given(reason=reason)
    if not (wanted or all_ or dry_run):
        what = "deliveries" if pending else "dead letters"
        raise typer.BadParameter(f"say which {what}, or --all", param_hint="OPTIONS")
    everything = True if not wanted else None
    if pending:
        wanted["state"] = "pending"
    body = given(filter=wanted, all=everything, dry_run=dry_run, rate_per_second=rate, reason=why)
    REPLAY.ask(body, what="waiting deliveries" if pending else "dead letters", json_output=json_output)


add_commands(app, REPLAY, "rpl")
