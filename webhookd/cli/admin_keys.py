"""`webhookd admin-keys`: admins' keys, each with the name that the audit log shows."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.options import Cursor, Json, Limit, future, given
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import Column, column, print_facts, print_json, print_listing, tell, when

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=f"Make, list and revoke admins' keys. {THE_RULE} The key must be an admin's.",
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose or what it is for; the audit log shows it.")],
    *,
    expires_at: Annotated[
        str | None,
        typer.Option(parser=future, metavar="TIME", help="When it ends: a time, or 12h, 30d from now."),
    ] = None,
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
def list_(*, limit: Limit = 50, cursor: Cursor = None, json_output: Json = False) -> None:
    """List admins' keys, newest first; revoked and expired ones too."""
    with open_api() as api:
        document = api.listing(path("admin-keys"), {}, limit=limit, cursor=cursor)
    print_listing(
        document,
        (
            column("id"),
            column("name"),
            Column(title="created", show=lambda row: when(row["created_at"])),
            Column(title="last used", show=lambda row: when(row["last_used_at"])),
            Column(title="expires", show=lambda row: when(row["expires_at"])),
            Column(title="revoked", show=lambda row: when(row["revoked_at"])),
        ),
        json_output=json_output,
        none="There are no admin keys but WEBHOOKD_ADMIN_KEY: `webhookd admin-keys create NAME` makes one.",
    )


_Key = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id (key_…), not the key.")]

_KEY = ResourceCommands(app=app, step="admin-keys", its_id=_Key)
_KEY.remove(
    "revoke", "Revoke an admin's key for good; every process refuses it within seconds.", done="revoked"
)
