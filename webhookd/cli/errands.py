"""What `webhookd replay` and `webhookd discard` have in common: asking, looking on, the commands below.

The workers do it; these commands ask for it and look on.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from webhookd.cli.client import Api, open_api, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, Partner, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, error_console, print_facts, print_json, state, tell, when
from webhookd.core.errors import Unavailable

_LOOK_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandWords:
    """One of the two: what it is called, and the field that counts what it has done."""

    noun: str
    doing: str
    done: str

    @property
    def plural(self) -> str:
        """Its path in the API."""
        return f"{self.noun}s"

    def ask(self, body: dict[str, Any], *, what: str, json_output: bool) -> None:
        """Ask for one, look on until it is over, and say what came of it."""
        with open_api() as api:
            document = api.post(path(self.plural), body)
            if document["state"] == "running":
                tell(
                    f"{document['id']} has begun; Ctrl-C stops looking on. Elsewhere: webhookd {self.noun} "
                    f"pause|rate|cancel {document['id']}"
                )
                try:
                    document = self._look_on(api, document)
                except KeyboardInterrupt:
                    its_id = document["id"]
                    tell(
                        f"\nThe {self.noun} {its_id} goes on by itself. See: webhookd {self.noun} status "
                        f"{its_id}; stop it: webhookd {self.noun} cancel {its_id}"
                    )
                    raise
        if json_output:
            print_json(document)
        elif document["dry_run"]:
            print(f"{document['matched']:,} {what} match; nothing was {self.done}.")
        else:
            stopped = "" if document["state"] == "done" else f", then {document['state']}"
            print(
                f"{document[self.done]:,} of {document['matched']:,} {what} {self.done}{stopped} "
                f"({document['id']})."
            )

    def _look_on(self, api: Api, document: dict[str, Any]) -> dict[str, Any]:
        """Return it once it is over or paused. The API may be away for _PATIENCE_SECONDS, as in a restart."""
        console = error_console()
        columns = (TextColumn(self.doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("", total=document["matched"])
            heard_at = time.monotonic()
            while document["state"] == "running":
                time.sleep(_LOOK_SECONDS)
                try:
                    document = api.get(path(self.plural, document["id"]))
                    heard_at = time.monotonic()
                except Unavailable:
                    if time.monotonic() - heard_at > _PATIENCE_SECONDS:
                        raise
                progress.update(bar, total=document["matched"], completed=document[self.done])
        return document

    def tell(self, document: dict[str, Any]) -> None:
        """Show people how far one is."""
        since = {name: f"{document[name]:,}" for name in ("delivered", "failed_again") if name in document}
        print_facts(
            {
                "id": document["id"],
                "state": state(document["state"]),
                self.done: f"{document[self.done]:,} of {document['matched']:,}",
                **{name.replace("_", " "): count for name, count in since.items()},
                "dry run": document["dry_run"],
                "filter": document["filter"],
                "per second": document["rate_per_second"],
                "by": document["started_by"],
                "why": document["reason"],
                "created": when(document["created_at"]),
                "finished": when(document["finished_at"]),
            }
        )


def add_commands(app: typer.Typer, errand: ErrandWords, prefix: str) -> None:
    """Add `status`, `pause`, `resume`, `cancel`, `rate` and `list` to the command."""
    noun = errand.noun
    its_id = Annotated[str, typer.Argument(metavar=f"{noun.upper()}_ID", help=f"Its id ({prefix}_…).")]

    one_of = ResourceCommands(app=app, step=errand.plural, its_id=its_id, tell=errand.tell)
    one_of.get(f"Show how far a {noun} has come.", name="status")
    one_of.move("pause", f"Let a {noun} rest until it is resumed.")
    one_of.move("resume", f"Let a paused {noun} go on.")
    one_of.move("cancel", f"Stop a {noun}; what it has {errand.done} stays so.")

    @app.command("rate", help=f"Let a {noun} go on at another pace.")
    def rate(
        one: its_id,
        per_second: Annotated[float, typer.Argument(metavar="PER_SECOND", help="How many a second.")],
        *,
        json_output: Json = False,
    ) -> None:
        with open_api() as api:
            body = {"rate_per_second": per_second}
            document = api.call("PATCH", path(errand.plural, one), body=body)
        one_of.show(document, json_output=json_output)

    @app.command("list", help=f"List {errand.plural}, newest first.")
    @taking(page=ListOptions)
    def list_(*, partner: Partner = None, page: ListOptions) -> None:
        page.show(
            path(errand.plural),
            {"partner": partner},
            (
                column("id"),
                column("state", lambda row: state(row["state"])),
                column("dry run", lambda row: row["dry_run"]),
                column(errand.done, right=True),
                column("matched", right=True),
                column("created", lambda row: when(row["created_at"])),
                column("by", lambda row: row["started_by"]),
                column("why", lambda row: row["reason"]),
                column("filter"),
            ),
            none=f"No {errand.plural}.",
        )
