"""Which commands there are: a table, so that `webhookd --help` needs none of their modules.

A family is a module in this package with a `typer.Typer` called `app`: one command, or a group of them.
To add one, write the module and its row in FAMILIES.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

import webhookd
from webhookd.runtime.importing import without_collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One name after `webhookd`. `module` is under `webhookd.cli`; `panel` is its heading in the help."""

    name: str
    module: str
    panel: str
    summary: str


SERVE: Final = "Serve"
TRY: Final = "Try it"
CALL: Final = "Call the API"
MEND: Final = "Look after it"

FAMILIES: Final = (
    Family(name="demo", module="demo", panel=TRY, summary="The whole story in one run, on embedded parts."),
    Family(name="listen", module="listen", panel=TRY, summary="Receive webhooks here, verify and show them."),
    Family(name="up", module="up", panel=SERVE, summary="Serve everything on this machine until Ctrl-C."),
    Family(name="api", module="api", panel=SERVE, summary="Serve the HTTP API alone."),
    Family(name="worker", module="worker", panel=SERVE, summary="Run tasks and deliver webhooks."),
    Family(
        name="migrate", module="migrate", panel=SERVE, summary="Bring the database to this release's schema."
    ),
    Family(name="partners", module="partners", panel=CALL, summary="Make and list partners."),
    Family(name="keys", module="keys", panel=CALL, summary="Make, list and revoke partners' keys."),
    Family(name="admin-keys", module="admin_keys", panel=CALL, summary="Make, list and revoke admins' keys."),
    Family(name="tasks", module="tasks", panel=CALL, summary="Submit, watch, list and cancel tasks."),
    Family(name="batches", module="batches", panel=CALL, summary="Submit many tasks with one end."),
    Family(name="files", module="files", panel=CALL, summary="Upload, download, list and delete files."),
    Family(
        name="endpoints", module="endpoints", panel=CALL, summary="Register and look after callback URLs."
    ),
    Family(
        name="deliveries", module="deliveries", panel=CALL, summary="Look at deliveries, send again, cancel."
    ),
    Family(
        name="dead-letters",
        module="dead_letters",
        panel=CALL,
        summary="Look at dead letters, replay, discard.",
    ),
    Family(name="replay", module="replay", panel=CALL, summary="Replay many dead letters at once, paced."),
    Family(name="discard", module="discard", panel=CALL, summary="Discard many dead letters at once."),
    Family(name="queues", module="queues", panel=CALL, summary="Show the depths of queues; pause, resume."),
    Family(name="workers", module="workers", panel=CALL, summary="Show which process runs what."),
    Family(name="audit", module="audit", panel=CALL, summary="Show who changed what, and why."),
    Family(name="trace", module="trace", panel=CALL, summary="Show the whole life of any one id."),
    Family(name="doctor", module="doctor", panel=MEND, summary="Find what is wrong, and how to mend it."),
    Family(
        name="rotate-encryption-key",
        module="rotate_encryption_key",
        panel=MEND,
        summary="Seal every stored secret again with the newest key.",
    ),
)


class FamilyGroup(TyperGroup):
    """The commands of FAMILIES. Listing them imports nothing; the one that is used is imported.

    Contexts are `Any` here because typer has no public name for the class of the one it passes.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Return the names in the order of the table."""
        return [family.name for family in FAMILIES]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - typer's signature
        """Return a stand-in that knows no more than the help shows."""
        for family in FAMILIES:
            if family.name == cmd_name:
                return TyperCommand(family.name, help=family.summary, rich_help_panel=family.panel)
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return (name, the real command, the rest of the arguments)."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if stand_in is None:
            return name, None, rest
        module = next(family.module for family in FAMILIES if family.name == stand_in.name)
        with without_collector():
            command = typer.main.get_command(importlib.import_module(f"webhookd.cli.{module}").app)
        command.name = stand_in.name
        if not ctx.resilient_parsing:
            _warn_of_misspelt_settings()
        return name, command, rest


def _warn_of_misspelt_settings() -> None:
    from webhookd.settings import unknown_names

    if names := unknown_names():
        print(f"webhookd: no such setting, ignored: {', '.join(names)}", file=sys.stderr)


root = typer.Typer(cls=FamilyGroup, rich_markup_mode="rich")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"webhookd {webhookd.__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Run partners' long tasks and deliver the results as signed webhooks, with nothing lost."""
