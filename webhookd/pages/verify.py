"""Why does my verification fail: headers and body as the receiver has them, held against what was signed.

The secret that is pasted is used for this one look and is kept nowhere.
"""

from typing import Any, Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Forbidden, NotFound
from webhookd.core.verification import Remark, judge, parse_headers
from webhookd.pages.page_rows import Row, does
from webhookd.pages.visit import Visit

PATH: Final = "verify"


async def show(visit: Visit) -> Answer:
    """The form."""
    return visit.page("verify.html", title="Verify", findings=None, headers="", body="")


async def look(visit: Visit) -> Answer:
    """The form with what was found."""
    pasted, secret = visit.form.one("headers"), visit.form.one("secret")
    # A browser sends every line end of a text field as CR LF; a message has none, so CR was never signed.
    body = "".join(visit.form.all("body")).replace("\r\n", "\n")
    headers = parse_headers(pasted)
    signed_body, stamps = None, list[str]()
    if message_id := headers.get("webhook-id"):
        try:
            message = await visit.get(f"/v1/messages/{message_id}")
            signed_body, stamps = message["body"], await _stamps(visit, message)
        except (NotFound, Forbidden):  # unknown, or not to be read with this key
            signed_body = None
    findings: list[Remark] = judge(
        headers, body, secret, signed_body=signed_body, now_seconds=visit.now_ms // 1000, stamps=stamps
    )
    return visit.page("verify.html", title="Verify", findings=findings, headers=pasted, body=body)


async def _stamps(visit: Visit, message: Any) -> list[str]:
    """Return the timestamps that a message was sent with, of the newest attempts at each endpoint."""
    if message["task_id"] is None:
        return []
    page = await visit.get("/v1/deliveries", task=message["task_id"])
    mine = [one["id"] for one in page["data"] if one["message_id"] == message["id"]]
    whole = [await visit.get(f"/v1/deliveries/{delivery_id}") for delivery_id in mine]
    return [one["request_headers"]["webhook-timestamp"] for each in whole for one in each["attempts_log"]]


ROWS: Final[tuple[Row, ...]] = (Row(PATH, show, name="Verify"), does(PATH, look))
