"""Deliveries: the list, and one of them with its message and its attempts."""

from dataclasses import dataclass
from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.model import DeliveryState
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit

PATH: Final = "deliveries"
FILTERS: Final = (
    "state",
    "endpoint",
    "task",
    "event",
    "type",
    "error",
    "status",
    "since",
    "until",
    "partner",
)
STATES: Final = tuple(state.value for state in DeliveryState)
_PARTS: Final = (("dns", "DNS"), ("connect", "Connect"), ("tls", "TLS"), ("first_byte", "First byte"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of an attempt's time, in hundredths of the longest attempt."""

    name: str
    label: str
    x: float
    width: float
    ms: float


async def show_all(visit: Visit) -> Answer:
    """The list, newest first."""
    filters = visit.filters(FILTERS)
    page = await visit.listed("/v1/deliveries", filters, cursor=visit.query.get("cursor"))
    return visit.page("deliveries.html", title="Deliveries", page=page, filters=filters, states=STATES)


async def show(visit: Visit) -> Answer:
    """One delivery."""
    delivery = await visit.get(f"/v1/deliveries/{visit.params['id']}")
    log = delivery["attempts_log"]
    longest = max((attempt["duration_ms"] for attempt in log), default=1.0) or 1.0
    attempts = [{**attempt, "bars": bars(attempt, longest)} for attempt in reversed(log)]
    message = await visit.get(f"/v1/messages/{delivery['message_id']}")
    return visit.page(
        "delivery.html", title="Delivery", delivery=delivery, attempts=attempts, message=message
    )


async def send_now(visit: Visit) -> Answer:
    """Make it due now; an ended one goes out again."""
    delivery_id = visit.params["id"]
    said = await visit.do("POST", f"/v1/deliveries/{delivery_id}/replay")
    waits = said.document.get("state") == DeliveryState.PENDING.value and visit.form.one("was") == "pending"
    return visit.goes(f"{PATH}/{delivery_id}", notice="due-now" if waits else "replayed")


async def cancel(visit: Visit) -> Answer:
    """End one that waits."""
    delivery_id = visit.params["id"]
    await visit.do("POST", f"/v1/deliveries/{delivery_id}/cancel")
    return visit.goes(f"{PATH}/{delivery_id}", notice="delivery-cancelled")


def bars(attempt: dict[str, Any], longest: float) -> list[Bar]:
    """Return the parts of an attempt, one behind the other; what is left is the rest of the answer."""
    made: list[Bar] = []
    x = 0.0
    parts = [(name, label, attempt["parts"][f"{name}_ms"] or 0.0) for name, label in _PARTS]
    rest = max(0.0, attempt["duration_ms"] - sum(ms for _, _, ms in parts))
    for name, label, ms in (*parts, ("rest", "Rest", rest)):
        if ms > 0:
            width = ms / longest * 100
            made.append(
                Bar(name=name.partition("_")[0], label=label, x=round(x, 2), width=round(width, 2), ms=ms)
            )
            x += width
    return made


ROWS: Final[tuple[Row, ...]] = (
    Row(PATH, show_all, name="Deliveries"),
    Row(f"{PATH}/{{id}}", show, below=PATH),
    does(f"{PATH}/{{id}}/replay", send_now, below=PATH),
    does(f"{PATH}/{{id}}/cancel", cancel, below=PATH),
)
