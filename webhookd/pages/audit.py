"""Audit: who changed what, from where, and why; as a table and as CSV."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

import orjson

from webhookd.api.answers import Answer
from webhookd.pages.filters import told
from webhookd.pages.page_rows import ADMIN, Row
from webhookd.pages.visit import Visit

PATH: Final = "audit"
FILTERS: Final = ("actor", "action", "target", "partner", "since", "until")
MOST_ROWS: Final = 10_000
_COLUMNS: Final = ("at", "actor", "key", "address", "action", "target", "partner", "reason", "detail")
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


async def show(visit: Visit) -> Answer:
    """The list, newest first."""
    filters = visit.filters(FILTERS)
    page = await visit.listed("/v1/audit", filters, cursor=visit.query.get("cursor"))
    return visit.page("audit.html", title="Audit", page=page, filters=filters)


async def download(visit: Visit) -> Answer:
    """What matches as CSV, the newest MOST_ROWS of it."""
    entries: list[dict[str, Any]] = []
    asked = told(visit.filters(FILTERS))
    cursor: str | None = ""
    while cursor is not None and len(entries) < MOST_ROWS:
        more = {"cursor": cursor} if cursor else {}
        page = await visit.look("/v1/audit", {**asked, "limit": 500, **more})
        entries += page["data"]
        cursor = page["next_cursor"]
    return Answer(
        status=200,
        body=as_csv(entries[:MOST_ROWS]).encode(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


def as_csv(entries: Iterable[dict[str, Any]]) -> str:
    """Return entries as CSV. What a spreadsheet would take for a formula has an apostrophe in front."""
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow(_COLUMNS)
    for entry in entries:
        shown = {**entry, "detail": orjson.dumps(entry["detail"]).decode()}
        writer.writerow([_plain("" if shown[name] is None else str(shown[name])) for name in _COLUMNS])
    return written.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


_ADMINS: Final = (ADMIN,)

ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show, name="Audit", sides=_ADMINS),
    Row(f"{PATH}/csv", download, below=PATH, sides=_ADMINS),
)
