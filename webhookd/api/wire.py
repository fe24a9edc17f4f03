"""Ground of the wire models: strict types, no unknown fields, and pydantic's complaints as our `Invalid`.

The models themselves stand beside the routes they belong to.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import ErrorDetails

from webhookd.core.complaints import complaint
from webhookd.core.errors import FieldError, Invalid
from webhookd.core.metadata import MAX_SEARCHED
from webhookd.core.records import Bounds
from webhookd.core.replay import status_range
from webhookd.core.times import parse_rfc3339

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_FIELD_ERRORS: Final = 50
MOST_COMPLAINTS: Final = 1_000
"""More of pydantic's are not put into words: that costs ten times what finding them did."""
MAX_QUERY_FIELDS: Final = 50
METADATA: Final = "metadata.NAME"
"""The alias of a query model's field that takes every parameter of this form, by its name."""
_BEFORE_NAME: Final = "metadata."

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CURSOR: Final = "cursor"

M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """A JSON body: `"1"` is no number, and a field nobody knows is an error."""

    # Made ready at the first request that has one: all of them are 45 ms of a start.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Create(Body):
    """A body that makes something: what is left out has its default, and nothing may be null."""

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise ValueError("must not be null: leave it out")
        return value


class ChangeBody(Body):
    """A body that changes something: what is left out stays; null, where it may be, is the default again."""


class QueryString(BaseModel):
    """A query string: numbers come as text, and a parameter nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NoQuery(QueryString):
    """Takes no parameters."""


class StreamQuery(QueryString):
    """The parameters of Server-Sent Events."""

    token: str | None = None
    """A page's token (`wht_…`): an EventSource can send no header."""


def cursor_like(pattern: str) -> Any:
    """Return the field `cursor` of a listing; what is not of this form is another listing's, or none."""
    meaning = "The `next_cursor` of the page before; without it the first page."
    return Field(None, pattern=pattern, description=meaning)


def cursor_of(prefix: str) -> Any:
    """Return the field `cursor` of a listing of what has ids of this prefix."""
    return cursor_like(rf"^{prefix}_[0-9a-z]{{26}}$")


class ListingQuery(QueryString):
    """The parameters of every listing. Each has cursors of its own form: another's is none."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    """How many a page may have; a page also ends at 4 MiB."""
    cursor: str | None
    """`cursor_of` or `cursor_like`."""

    @property
    def page(self) -> Bounds:
        """The bounds for the store."""
        return Bounds(limit=self.limit, cursor=self.cursor)


class ListingByName(ListingQuery):
    """The parameters of a listing of things that have names and no ids. A cursor is `<noun>.<name>`."""

    NOUN: ClassVar[str]

    @property
    def after(self) -> str:
        """The last name of the page before; empty for the first page."""
        return (self.cursor or "").removeprefix(f"{self.NOUN}.")

    @classmethod
    def cursor_after(cls, name: str) -> str:
        """Return the cursor of the page that begins behind this name."""
        return f"{cls.NOUN}.{name}"


def cursor_by_name(noun: str) -> Any:
    """Return the field `cursor` of a listing of what has names."""
    return cursor_like(rf"^{noun}\.[A-Za-z0-9_.:~-]{{1,200}}$")


class AdminListing(ListingQuery):
    """A listing that an admin may narrow to one partner; to a partner the parameter is unknown."""

    partner: str | None = None
    """For admins: only what is this partner's, by its id or name."""


def parse_body(model: type[M], value: Any, *, at: Sequence[int | str] = ()) -> M:
    """Return the model of a parsed JSON value, which stands `at` these steps in the body. Raises Invalid."""
    if isinstance(value, dict) and len(value) > MAX_FIELD_ERRORS + len(model.model_fields):
        unknown = islice((name for name in value if name not in model.model_fields), MAX_FIELD_ERRORS)
        raise Invalid(
            "The body is not valid.",
            errors=[FieldError(path=json_path((*at, name)), message="is not known here") for name in unknown],
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid("The body is not valid.", error, at) from None


def parse_query(model: type[M], raw: bytes) -> M:
    """Return the model of a query string. Raises Invalid, also for a parameter given twice or not UTF-8."""
    if not raw:
        pairs: list[tuple[str, str]] = []
    else:
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise Invalid("The query string is not valid: it must be percent-encoded UTF-8.") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise unknown_or_wrong("query", name, "must not be given twice")
        if "\x00" in value or "\x00" in name:
            raise unknown_or_wrong("query", name.replace("\x00", ""), "must not contain NUL")
        values[name] = value
    if any(field.alias == METADATA for field in model.model_fields.values()):
        values = _with_metadata(values)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid("The query parameters are not valid.", error) from None


def _with_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with those of the form `metadata.…` as one."""
    pairs = {name: value for name, value in values.items() if name.startswith(_BEFORE_NAME)}
    if len(pairs) > MAX_SEARCHED:
        raise unknown_or_wrong("query", max(pairs), f"is one more than {MAX_SEARCHED} names at once")
    rest = {name: value for name, value in values.items() if name not in pairs}
    if pairs:
        rest[METADATA] = {name.removeprefix(_BEFORE_NAME): value for name, value in pairs.items()}
    return rest


def unknown_or_wrong(place: str, name: str, message: str) -> Invalid:
    """Return the error for one field; `place` is `query` or `body`, where `name` may be `field.in_it`."""
    what = "query parameters are" if place == "query" else "body is"
    steps = name.split(".") if place == "body" else [name]
    return Invalid(f"The {what} not valid.", errors=[FieldError(path=json_path(steps), message=message)])


def json_path(steps: Sequence[int | str]) -> str:
    """Return a JSONPath (RFC 9535) from the root: `$.endpoints[0]`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else member(step) for step in steps)


def member(name: str) -> str:
    """Return one member step of a JSONPath."""
    if _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    return "['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"


def _invalid(detail: str, error: ValidationError, at: Sequence[int | str] = ()) -> Invalid:
    """Return pydantic's complaints as ours, at most MAX_FIELD_ERRORS of them."""
    if error.error_count() > MOST_COMPLAINTS:
        message = f"is wrong in {error.error_count():,} places"
        return Invalid(detail, errors=[FieldError(path=json_path(at), message=message)])
    details = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        FieldError(path=json_path((*at, *one["loc"])), message=_message(one))
        for one in details[:MAX_FIELD_ERRORS]
    ]
    return Invalid(detail, errors=errors)


def _message(detail: ErrorDetails) -> str:
    if detail["loc"] == (CURSOR,) and detail["type"] == "string_pattern_mismatch":
        return "is not a cursor of this listing: go on from its next_cursor"
    return complaint(detail)


def _time(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time, such as 2026-11-24T06:00:00Z")  # noqa: TRY004 - pydantic wants ValueError
    return parse_rfc3339(value)


Time = Annotated[
    int, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]
"""RFC 3339 text on the wire, Unix milliseconds inside."""


def _status(value: str) -> str:
    return status_range(value).text


Status = Annotated[
    str,
    AfterValidator(_status),
    WithJsonSchema({"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"}, mode="validation"),
]
"""An HTTP status, or all of its hundred: `503`, `5xx`."""


class NoBody(Body):
    """Takes no fields: an empty body, or `{}`."""
