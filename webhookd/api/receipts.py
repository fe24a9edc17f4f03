"""What a key without `tasks:read` is shown of the tasks and deliveries it writes: ids and states.

A write answers with the thing as it is now, which may hold a result, metadata or an error that another key
put there. Endpoints and replays are not reduced: they show what the key itself may set.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from webhookd.api.answers import Answer
from webhookd.api.caller import Caller

READ: Final = "tasks:read"
RECEIPT: Final = (
    "id",
    "type",
    "state",
    "done",
    "version",
    "message_id",
    "task_id",
    "endpoint_id",
    "links",
)


def shown_to(caller: Caller, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a Task or a Delivery as this caller may see it."""
    if caller.may(READ):
        return document
    return {name: document[name] for name in RECEIPT if name in document}


def answer_to(caller: Caller, answer: Answer) -> Answer:
    """Return an answer whose body is a Task or a Delivery as this caller may see it.

    An answer that is kept for repeats is kept whole, since another key of the partner may ask for it again.
    """
    if caller.may(READ) or not answer.body:
        return answer
    return replace(answer, body=orjson.dumps(shown_to(caller, orjson.loads(answer.body))))
