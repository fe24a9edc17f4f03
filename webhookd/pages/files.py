"""Files: what was uploaded and what tasks have made; uploading one."""

from typing import Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Invalid
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit

PATH: Final = "files"
FILTERS: Final = ("kind", "task", "partner")
KINDS: Final = ("input", "result")


async def show_all(visit: Visit) -> Answer:
    """The list, newest first."""
    filters = visit.filters(FILTERS)
    page = await visit.listed("/v1/files", filters, cursor=visit.query.get("cursor"))
    return visit.page("files.html", title="Files", page=page, filters=filters, kinds=KINDS)


async def show(visit: Visit) -> Answer:
    """One file."""
    file = await visit.get(f"/v1/files/{visit.params['id']}")
    return visit.page("file.html", title="File", file=file)


async def upload(visit: Visit) -> Answer:
    """Store the file of the form, as it arrives."""
    file = visit.form.upload
    if file is None or not file.name:
        raise Invalid("Choose a file, then press Upload.")
    whose = {"partner": visit.form.one("partner")} if visit.is_admin else {}
    said = await visit.send("/v1/files", file, query={"name": file.name, **whose})
    return visit.goes(f"{PATH}/{said.document['id']}", notice="uploaded")


async def delete(visit: Visit) -> Answer:
    """Remove one."""
    await visit.do("DELETE", f"/v1/files/{visit.params['id']}")
    return visit.goes(PATH, notice="deleted")


ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, name="Files"),
    does(PATH, upload, uploads=True),
    Row(f"{PATH}/{{id}}", show, below=PATH),
    does(f"{PATH}/{{id}}/delete", delete, below=PATH),
)
