"""The templates: everything is escaped unless a function of `shown` has made it."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webhookd.pages import shown

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER: Final = Path(__file__).with_name("templates")
_FILTERS: Final = ("ident", "state", "number", "ms", "size", "pretty", "span", "clock", "plural", "said")


@cache
def environment() -> "Environment":
    """Return Jinja's environment. It is imported with the first page: an API without visitors needs none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        loader=FileSystemLoader(FOLDER),
    )
    made.filters |= {name: getattr(shown, name) for name in _FILTERS}
    return made
