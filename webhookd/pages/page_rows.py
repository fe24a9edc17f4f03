"""A row a page: where it is, on which side, what shows it, and what its forms do."""

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from webhookd.api.answers import Answer

if TYPE_CHECKING:
    from webhookd.pages.visit import Visit

ADMIN: Final = "admin"
PORTAL: Final = "portal"
BOTH: Final = (ADMIN, PORTAL)

ENDPOINTS: Final = "endpoints:write"
DELIVERIES: Final = "deliveries:replay"
"""The scopes that forms of several steps ask for before the first."""

Handler = Callable[["Visit"], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Row:
    """What a method of a path below `/admin/` or `/portal/` does. `name` puts it into the navigation.

    `below` is the path of the page in the navigation that this one belongs to. `uploads`: its form has a
    file. `again` shows, at the same path, the page whose form this is: what is refused for fields of it is
    told there, and what was typed stays.
    """

    path: str
    handler: Handler
    _: KW_ONLY
    method: str = "GET"
    name: str = ""
    below: str = ""
    sides: tuple[str, ...] = BOTH
    uploads: bool = False
    again: Handler | None = None

    @property
    def home(self) -> str:
        """The path that is marked in the navigation while this page is shown."""
        return self.below or self.path


does: Final = partial(Row, method="POST")
"""Makes the row of what a form does."""
