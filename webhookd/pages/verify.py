"""Why does my verification fail: headers and body as the receiver has them, held against what was signed.

The secret that is pasted is used for this one look and is kept nowhere.
"""

from typing import Final

from webhookd.api.answers import Answer
from webhookd.core.errors import Forbidden, NotFound
from webhookd.core.verification import Remark, judge, parse_headers
from webhookd.pages.rows import Row, does, shows
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
    signed_body = None
    if message_id := headers.get("webhook-id"):
        try:
            signed_body = (await visit.get(f"/v1/messages/{message_id}"))["body"]
        except (NotFound, Forbidden):  # unknown, or not to be read with this key
            signed_body = None
    findings: list[Remark] = judge(
        headers, body, secret, signed_body=signed_body, now_seconds=visit.now_ms // 1000
    )
    return visit.page("verify.html", title="Verify", findings=findings, headers=pasted, body=body)


ROWS: Final[tuple[Row, ...]] = (shows(PATH, show, name="Verify"), does(PATH, look))
