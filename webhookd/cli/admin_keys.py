"""`webhookd admin-keys`: admins' keys, each with the name that the audit log shows."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.keys import KEY_TIMES, ExpiresAt, KeyId
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, given, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, print_json, tell

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=f"Make, list and revoke admins' keys. {THE_RULE} The key must be an admin's.",
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose or what it is for; the audit log shows it.")],
    *,
    expires_at: ExpiresAt = None,
    json_output: Json = False,
) -> None:
    """Make an admin's key, which is shown this once."""
    with open_api() as api:
        made = api.post(path("admin-keys"), given(name=name, expires_at=expires_at))
    if json_output:
        print_json(made)
        return
    print_facts({field: made[field] for field in ("id", "name", "expires_at", "key")})
    tell("The key is shown this once: keep it.")


@app.command("list")
@taking(page=ListOptions)
def list_(*, page: ListOptions) -> None:
    """List admins' keys, newest first; revoked and expired ones too."""
    page.show(
        path("admin-keys"),
        {},
        (
            column("id"),
            column("name"),
            *KEY_TIMES,
        ),
        none="There are no admin keys but WEBHOOKD_ADMIN_KEY: `webhookd admin-keys create NAME` makes one.",
    )


_KEY = ResourceCommands(app=app, step="admin-keys", its_id=KeyId)
_KEY.remove(
    "revoke", "Revoke an admin's key for good; every process refuses it within seconds.", done="revoked"
)
