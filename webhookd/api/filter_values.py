"""Filters whose value can match nothing are refused: a reason that does not exist, another's endpoint.

Otherwise a slip of the finger looks like a quiet night.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from webhookd.adapters.store.known_values import unknown_values
from webhookd.api.call import AnyCall
from webhookd.api.wire import unknown_or_wrong
from webhookd.core.errors import Invalid
from webhookd.core.fields import ATTEMPT_ERRORS, DEAD_REASONS, EVENTS, TASK_CODES
from webhookd.core.routing import type_matches

_STATUS_ERROR: Final = re.compile(r"http_[1-5][0-9]{2}")


async def refuse_unknown(
    call: AnyCall,
    partner_id: str | None,
    *,
    endpoint: str | None = None,
    type: str | None = None,  # noqa: A002 - the filter's name
    event: str | None = None,
    reason: str | None = None,
    error: str | None = None,
    codes: bool = False,
    at: str = "",
) -> None:
    """Raise Invalid for each value that can match nothing. `codes`: `error` may be a task's error code.

    `at` is where the filters stand in the body, with a dot; without it they are query parameters.
    """
    faults: dict[str, str] = {}
    if event is not None and event not in EVENTS:
        faults["event"] = _no_such("event", event, EVENTS)
    if reason is not None and reason not in DEAD_REASONS:
        faults["reason"] = _no_such("reason", reason, DEAD_REASONS)
    asked: dict[str, str] = {}
    if endpoint is not None:
        asked["endpoint"] = endpoint
    if type is not None and call.parts.task_types.get(type) is None:
        asked["type"] = type
    known = (*ATTEMPT_ERRORS, *TASK_CODES) if codes else ATTEMPT_ERRORS
    if error is not None and error not in known and not _STATUS_ERROR.fullmatch(error):
        # A receiver may answer with a status that HTTP has not.
        asked["code" if codes else "error"] = error
    if asked:
        partner = call.caller.partner
        own = () if partner is None else partner.task_types
        types = [one.type for one in call.parts.task_types if type_matches(own, one.type)]
        no_such_error = ("error", _no_such("error", error or "", known))
        told = {
            "endpoint": ("endpoint", "there is no such endpoint"),
            "type": ("type", _no_such("type", type or "", types)),
            "error": no_such_error,
            "code": no_such_error,
        }
        unknown = await call.read(unknown_values, partner_id, asked)
        faults |= dict(told[name] for name in unknown)
    if faults:
        place = "body" if at else "query"
        wrong = [unknown_or_wrong(place, at + name, faults[name]) for name in sorted(faults)]
        raise Invalid(wrong[0].detail, errors=[one for fault in wrong for one in fault.errors])


def _no_such(what: str, value: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    near = get_close_matches(value, names, n=1)
    if near:
        return f"there is no such {what}; did you mean {near[0]}?"
    return f"there is no such {what}" + (f"; known are {', '.join(names)}" if names else "")
