"""Logging in with a key or a one-time link, and logging out. Each session has a token of its own."""

from typing import Final

from webhookd.api.answers import Answer
from webhookd.api.caller import Caller
from webhookd.core.errors import Forbidden, RateLimited, Unauthenticated
from webhookd.pages.page_rows import ADMIN, PORTAL, Row, does
from webhookd.pages.page_sessions import LINK, session_cookie
from webhookd.pages.site import LOG_IN
from webhookd.pages.visit import Visit, redirect

ENTER: Final = "enter"
_WRONG: Final = "This key is wrong, expired or revoked. Paste it whole: it begins with wha_ or whk_."


async def show(visit: Visit) -> Answer:
    """The form with one field for the key."""
    return _form(visit, next_page=visit.query.get("next", ""))


async def log_in(visit: Visit) -> Answer:
    """Begin a session for the bearer of a key."""
    next_page = visit.form.one("next")
    try:
        caller = await visit.site.authenticator.identify(visit.form.one("key"), visit.headers, visit.peer)
        side = ADMIN if caller.is_admin else PORTAL
        home = f"{visit.root}{side}/"
        return await _begun(visit, caller, home + (_local(next_page) if side == visit.side else ""))
    except Unauthenticated:
        return _form(visit, next_page=next_page, problem=_WRONG, status=422)
    except (Forbidden, RateLimited) as refused:
        return _form(visit, next_page=next_page, problem=refused.detail, status=refused.status)


async def enter(visit: Visit) -> Answer:
    """Begin a session for the bearer of a link, which is used up by it.

    A cookie that is `SameSite=Strict` does not go along with a redirect that began at another site, so there
    a page of ours goes on by itself. A HEAD uses nothing up: previews of links in chats and mail begin so.
    """
    if visit.only_looks:
        return Answer(status=204)
    caller = await visit.site.sessions.use_link(visit.query.get("token", ""), visit.now_ms)
    if caller is None or (ADMIN if caller.is_admin else PORTAL) != visit.side:
        return visit.page("used.html", title="This link is used or over", status=410)
    answer = await _begun(visit, caller, visit.home, via=LINK)
    if visit.headers.get(b"sec-fetch-site") != b"cross-site":
        return answer
    onward = visit.page("onward.html", title="You are logged in")
    return Answer(
        status=200,
        body=onward.body,
        content_type=onward.content_type,
        headers={"Set-Cookie": answer.headers["Set-Cookie"]},
    )


async def log_out(visit: Visit) -> Answer:
    """End the session."""
    assert visit.session is not None  # noqa: S101 - the machine let it in
    await visit.site.sessions.end(visit.session)
    answer = visit.goes(LOG_IN, notice="logged-out")
    removed = session_cookie(visit.side, "", secure=visit.secure)
    return redirect(answer.headers["Location"], {"Set-Cookie": removed})


async def _begun(visit: Visit, caller: Caller, location: str, *, via: str = "") -> Answer:
    token = await visit.site.sessions.begin(caller, visit.now_ms, via=via)
    side = ADMIN if caller.is_admin else PORTAL
    return redirect(location, {"Set-Cookie": session_cookie(side, token, secure=visit.secure)})


def _form(visit: Visit, *, next_page: str, problem: str = "", status: int = 200) -> Answer:
    return visit.page("log_in.html", title="Log in", status=status, next_page=next_page, problem=problem)


def _local(path: str) -> str:
    """Return a path below this side's pages; anything that could lead elsewhere is left out."""
    plain = path.isascii() and path.isprintable() and not {"\\", ":"} & set(path.partition("?")[0])
    return path if plain and not path.startswith("/") and ".." not in path else ""


OPEN_ROWS: Final[tuple[Row, ...]] = (
    Row(LOG_IN, show),
    does(LOG_IN, log_in),
    Row(ENTER, enter),
)
ROWS: Final[tuple[Row, ...]] = (does("log-out", log_out),)
