"""What a client says on the stream: subscribe, unsubscribe, ping; one JSON object a frame."""

from typing import Any, Final, Literal

from pydantic import Field

from webhookd.api.json_body import parse_json
from webhookd.api.wire import Body, parse_body
from webhookd.core.errors import FieldError, Invalid, MalformedJson

MOST_TASKS: Final = 1_000


class Some(Body):
    """What to hear of: named tasks, or all (of the partner an admin names; without one, of everybody).

    `since` has the versions already known.
    """

    tasks: list[str] | None = Field(None, min_length=1, max_length=MOST_TASKS)
    all: Literal[True] | None = None
    partner: str | None = None
    since: dict[str, int] = Field(default_factory=dict)


class Fewer(Body):
    """What to hear of no more."""

    tasks: list[str] | None = Field(None, min_length=1, max_length=MOST_TASKS)
    all: Literal[True] | None = None


class ClientMessage(Body):
    """One message: exactly one of these."""

    auth: str | None = None
    subscribe: Some | None = None
    unsubscribe: Fewer | None = None
    ping: Any = None


def said_in(text: str | None) -> ClientMessage:
    """Read a message. Raises MalformedJson, Invalid."""
    if text is None:
        raise MalformedJson("Messages must be text, not binary.")
    value = parse_json(text.encode())
    said = parse_body(ClientMessage, value)
    if len(said.model_fields_set) != 1:
        raise Invalid("A message has exactly one of auth, subscribe, unsubscribe and ping.")
    for name, what in (("subscribe", said.subscribe), ("unsubscribe", said.unsubscribe)):
        if what is not None and (what.tasks is None) == (what.all is None):
            raise wrong(name, 'must have either "tasks" or "all": true')
        if name in said.model_fields_set and what is None:
            raise wrong(name, "must be an object")
    return said


def wrong(name: str, message: str) -> Invalid:
    """Return what is wrong with a field of a message."""
    return Invalid("The message is not valid.", errors=[FieldError(path=f"$.{name}", message=message)])
