"""What every command that lists has: how many rows, from where on, and how they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.cli.client import Query, open_api
from webhookd.cli.options import Cursor, Json, Limit
from webhookd.cli.screen import TableColumn, print_listing


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """The options of such a command, which takes them with `@taking(page=ListOptions)`."""

    limit: Limit = 50
    cursor: Cursor = None
    json_output: Json = False

    def show(self, where: str, query: Query, columns: Sequence[TableColumn], *, none: str) -> None:
        """Ask the API for the rows and print them; `none` is said where there are none."""
        with open_api() as api:
            document = api.listing(where, query, limit=self.limit, cursor=self.cursor)
        print_listing(document, columns, json_output=self.json_output, none=none)
