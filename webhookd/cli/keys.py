"""`webhookd keys`: API keys of partners."""

from typing import Annotated

import typer

from webhookd.cli.client import THE_RULE, Api, open_api, path
from webhookd.cli.options import Cursor, Json, Limit, future, given
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import Column, column, print_facts, print_json, print_listing, tell, when
from webhookd.core.model import SCOPES

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help=f"Make, list and revoke partners' keys. {THE_RULE} The key must be an admin's, or have the scope "
    "keys:write, for one's own.",
)

_Partner = Annotated[
    str | None,
    typer.Argument(metavar="PARTNER", help="The partner, by id or name; left out with a partner's own key."),
]


@app.command("create")
def create(
    partner: _Partner = None,
    *,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What it may do: {', '.join(SCOPES)}. May be given again; all but keys:write if left out."
        ),
    ] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(parser=future, metavar="TIME", help="When it ends: a time, or 12h, 30d from now."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Make a further key, which is shown this once; the others stay good."""
    with open_api() as api:
        made = api.post(_keys_of(api, partner), given(name=name, scopes=scope, expires_at=expires_at))
    if json_output:
        print_json(made)
        return
    print_facts({field: made[field] for field in ("id", "partner", "name", "scopes", "expires_at", "key")})
    tell("The key is shown this once: keep it.")


@app.command("list")
def list_(
    partner: _Partner = None, *, limit: Limit = 50, cursor: Cursor = None, json_output: Json = False
) -> None:
    """List a partner's keys, newest first; revoked and expired ones too."""
    with open_api() as api:
        document = api.listing(_keys_of(api, partner), {}, limit=limit, cursor=cursor)
    print_listing(
        document,
        (
            column("id"),
            column("name"),
            column("scopes"),
            Column(title="created", show=lambda row: when(row["created_at"])),
            Column(title="last used", show=lambda row: when(row["last_used_at"])),
            Column(title="expires", show=lambda row: when(row["expires_at"])),
            Column(title="revoked", show=lambda row: when(row["revoked_at"])),
        ),
        json_output=json_output,
        none="This partner has no keys.",
    )


_Key = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id (key_…), not the key.")]

_KEY = ResourceCommands(app=app, step="keys", its_id=_Key)
_KEY.remove("revoke", "Revoke a key for good; every process refuses it within seconds.", done="revoked")


def _keys_of(api: Api, partner: str | None) -> str:
    return path("keys") if partner is None else path("partners", api.partner_id(partner) or "", "keys")
