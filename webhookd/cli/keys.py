"""`webhookd keys`: API keys of partners."""

from typing import Annotated, Final

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, future, given, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, print_json, tell, when
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
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id (key_…), not the key.")]
ExpiresAt = Annotated[
    str | None,
    typer.Option(parser=future, metavar="TIME", help="When it ends: a time, or 12h, 30d from now."),
]
KEY_TIMES: Final = (
    column("created", lambda row: when(row["created_at"])),
    column("last used", lambda row: when(row["last_used_at"])),
    column("expires", lambda row: when(row["expires_at"])),
    column("revoked", lambda row: when(row["revoked_at"])),
)


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
    expires_at: ExpiresAt = None,
    json_output: Json = False,
) -> None:
    """Make a further key, which is shown this once; the others stay good."""
    with open_api() as api:
        where = path("keys") if partner is None else path("partners", str(api.partner_id(partner)), "keys")
        made = api.post(where, given(name=name, scopes=scope, expires_at=expires_at))
    if json_output:
        print_json(made)
        return
    print_facts({field: made[field] for field in ("id", "partner", "name", "scopes", "expires_at", "key")})
    tell("The key is shown this once: keep it.")


@app.command("list")
@taking(page=ListOptions)
def list_(partner: _Partner = None, *, page: ListOptions) -> None:
    """List a partner's keys, newest first; revoked and expired ones too."""
    page.show(
        path("keys"),
        {"partner": partner},
        (
            column("id"),
            column("name"),
            column("scopes"),
            *KEY_TIMES,
        ),
        none="This partner has no keys.",
    )


_KEY = ResourceCommands(app=app, step="keys", its_id=KeyId)
_KEY.remove("revoke", "Revoke a key for good; every process refuses it within seconds.", done="revoked")
