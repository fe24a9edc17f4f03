"""A page in its frame, and an error as a page. Who may see which page is `site`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from webhookd.api.answers import Answer
from webhookd.api.problems import WrongMethod, retry_after
from webhookd.core.errors import WebhookdError
from webhookd.pages import shown, static_files
from webhookd.pages.live import NOTHING_LIVE
from webhookd.pages.notices import NOTICE, NOTICES
from webhookd.pages.page_sessions import Session
from webhookd.pages.templates import environment

if TYPE_CHECKING:
    from webhookd.pages.visit import Visit

HTML: Final = "text/html; charset=utf-8"
_MENDS: Final = {
    401: "Log in again.",
    403: "Ask whoever gave you the key for one with more rights.",
    404: "It may have been removed, or belong to somebody else. Look for it in its list.",
    405: "Open the page before it and send the form from there.",
    413: "Send less at once.",
    409: "Look at its present state and choose what fits.",
    422: "Correct what is named here and send it again.",
    429: "Wait a moment, then do it again.",
    503: "The service is busy or a part of it is away. Nothing was done; try again in a moment.",
}


def rendered(visit: "Visit", template: str, *, title: str, status: int, **values: Any) -> Answer:
    """Return a page in its frame."""
    found = environment().get_template(template)
    context = _context(visit, title=title, **values)
    context["p"] = environment().get_template("parts.html").make_module(context)
    if visit.live:
        block = found.blocks.get("live")
        if block is None:
            return NOTHING_LIVE
        text = "".join(block(found.new_context(context)))
    else:
        text = found.render(context)
    return Answer(status=status, body=text.encode(), content_type=HTML)


def _context(visit: "Visit", *, title: str, **values: Any) -> dict[str, Any]:
    """Return what a template may use."""
    here = visit.row.home if visit.row is not None else None
    return {
        "title": title,
        "visit": visit,
        "side": visit.side,
        "root": visit.root,
        "home": visit.home,
        "mark": static_files.mark(),
        "navigation": visit.site.navigation(visit.side) if visit.session else [],
        "here": here,
        "may": visit.may,
        "form_token": visit.form_token,
        "once": visit.once,
        "who": _who(visit.session),
        "notice": NOTICES.get(visit.query.get(NOTICE, ""), ""),
        "when": lambda at: shown.when(at, visit.now_ms),
        "href": _href,
        **values,
    }


def refusal(visit: "Visit", error: WebhookdError, trace_id: str) -> Answer:
    """Return an error as a page that says how to mend it."""
    answer = visit.page(
        "error.html",
        title=error.title,
        status=error.status,
        error=error,
        mend=_MENDS.get(error.status, "Try again; the trace id finds it in the logs."),
        trace_id=trace_id,
    )
    headers = dict(answer.headers)
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = retry_after(error.retry_after_seconds)
    if isinstance(error, WrongMethod):
        headers["Allow"] = error.allow
    return replace(answer, headers=headers)


def _who(session: Session | None) -> str:
    """Return what stands beside the button that logs out."""
    if session is None:
        return ""
    partner = session.caller.partner
    return "Admin" if partner is None else partner.name


def _href(path: str, **query: str | int | None) -> str:
    """Return a link with a query, without what has no value."""
    asked = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(asked)}" if asked else path
