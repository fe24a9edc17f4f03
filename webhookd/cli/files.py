"""`webhookd files`: inputs and results that are too big for JSON, up and down."""

import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, Partner, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, print_facts, when, whose
from webhookd.core.files import OCTETS, FileKind

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Upload, look at, download and delete files. {THE_RULE}"
)

_File = Annotated[str, typer.Argument(metavar="ID", help="The file (file_…).")]


def _tell(document: dict[str, Any]) -> None:
    print_facts({**document, "partner": whose(document)})


_FILE = ResourceCommands(app=app, step="files", its_id=_File, tell=_tell)


@app.command("upload")
def upload(
    source: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The file to send.", exists=True, dir_okay=False, readable=True),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="What to call it; its own name if left out.")] = None,
    content_type: Annotated[
        str | None, typer.Option("--type", help="Its media type; guessed from its name if left out.")
    ] = None,
    partner: Partner = None,
    json_output: Json = False,
) -> None:
    """Send a file; the id that comes back is what a task's input names."""
    kind = content_type or mimetypes.guess_type(source.name)[0] or OCTETS
    with open_api() as api, source.open("rb") as opened:
        query = {"name": name or source.name, "partner": api.partner_id(partner)}
        document = api.send(path("files"), query, opened, content_type=kind)
    _FILE.show(document, json_output=json_output)


_FILE.get("Show a file, with a new link to download it without a key.")


@app.command("list")
@taking(page=ListOptions)
def list_(
    *,
    task: Annotated[str | None, typer.Option(help="What this task takes and what it made.")] = None,
    kind: Annotated[FileKind | None, typer.Option(help="Only inputs, or only results.")] = None,
    partner: Partner = None,
    page: ListOptions,
) -> None:
    """List files, the latest first."""
    page.show(
        path("files"),
        {"task": task, "kind": kind, "partner": partner},
        (
            column("id"),
            column("name"),
            column("bytes", lambda row: f"{row['size']:,}"),
            column("kind"),
            column("state"),
            column("made", lambda row: when(row["created_at"])),
        ),
        none="No files.",
    )


@app.command("download")
def download(
    file: _File,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; its own name here if left out.")
    ] = None,
) -> None:
    """Fetch a file's bytes. A file that is there is not written over, unless --output names it."""
    with open_api() as api:
        target = output or Path(str(api.get(path("files", file))["name"]))
        with target.open("wb" if output else "xb") as out:
            api.fetch(path("files", file, "content"), out)
    print(f"Wrote {target}.")


_FILE.remove("delete", "Delete a file that no task needs any more.", done="deleted")
