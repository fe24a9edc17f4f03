"""The gate of the pages: which there are, who is let in, and the policies that go with every answer.

The order of checks is the same everywhere: method, session, side, origin, form token, handler. Nothing that a
page shows is markup unless `shown` or a template wrote it, and the policy lets no inline script or style run.
How a page is rendered is `frame`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from webhookd.adapters.entropy import new_page_token
from webhookd.api.answers import Answer, Sendable
from webhookd.api.auth import Authenticator
from webhookd.api.caller import OPERATOR
from webhookd.api.edge import RequestContext, context_of
from webhookd.api.inside import Asker, Inside
from webhookd.api.parts import ApiParts
from webhookd.api.problems import WrongMethod
from webhookd.api.routes import NOBODY
from webhookd.core.errors import Conflict, Forbidden, Invalid, NotFound, UrlNotAllowed, WebhookdError
from webhookd.pages import origin, static_files
from webhookd.pages.forms import Form, open_upload, read_form
from webhookd.pages.frame import refusal
from webhookd.pages.live import NOTHING_LIVE, SESSION_OVER, Live, is_wanted
from webhookd.pages.page_rows import ADMIN, BOTH, PORTAL, Row
from webhookd.pages.page_sessions import (
    LINK,
    Session,
    Sessions,
    cookie,
    cookie_name,
    cookies,
    form_token,
    is_form_token,
)
from webhookd.pages.visit import Visit, redirect

LOG_IN: Final = "log-in"
FORM_COOKIE: Final = "webhookd_form"
MOST_ASKED: Final = 200
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {}"
)


class Site:
    """The pages of both sides."""

    def __init__(
        self,
        parts: ApiParts,
        authenticator: Authenticator,
        inside: Inside,
        *,
        rows: Sequence[Row],
        open_rows: Sequence[Row],
        portal_ancestors: str = "",
    ) -> None:
        self.parts = parts
        self.authenticator = authenticator
        self.inside = inside
        self.sessions = Sessions(parts.store, parts.options.admin_key_hash)
        self._rows = rows
        self._open = open_rows
        self._ancestors = {
            ADMIN: "'none'",
            PORTAL: f"'self' {portal_ancestors}" if portal_ancestors else "'none'",
        }

    def routes(self) -> list[BaseRoute]:
        """Return the routes of every page, on each side that has it."""
        found: list[BaseRoute] = []
        for side in BOTH:
            places: dict[str, dict[str, Row]] = {}
            for row in (*self._open, *self._rows):
                if side in row.sides:
                    places.setdefault(row.path, {})[row.method] = row
            found += [
                Route(f"/{side}/{path}", _PathApp(self, side, f"/{side}/{path}", places[path]))
                for path in sorted(places, key=lambda path: "{" in path)
            ]
            found.append(Route(f"/{side}", _PathApp(self, side, f"/{side}", {})))
            found.append(Route(f"/{side}/{{rest:path}}", _PathApp(self, side, f"/{side}/…", {})))
        return [*found, *static_files.static_routes()]

    def navigation(self, side: str) -> list[Row]:
        """Return the pages that stand in the navigation of a side."""
        return [row for row in self._rows if row.name and side in row.sides]

    def is_open(self, row: Row) -> bool:
        """Whether a page is for those who are not logged in."""
        return row in self._open

    def policies(self, side: str) -> dict[str, str]:
        """Return the headers of every answer of a side."""
        ancestors = self._ancestors[side]
        return {
            "Content-Security-Policy": _POLICY.format(ancestors),
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            **({"X-Frame-Options": "DENY"} if ancestors == "'none'" else {}),
        }


class _PathApp:
    """One path of the pages, as an ASGI application."""

    def __init__(self, site: Site, side: str, path: str, rows: Mapping[str, Row]) -> None:
        self._site = site
        self._side = side
        self._path = path
        self._rows = rows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        context.route = self._path
        visit = self._visit(scope, context)
        answer: Sendable
        try:
            answer = await self._answer(visit, scope, receive)
        except WebhookdError as error:
            context.error_code = error.code
            answer = refusal(visit, error, context.trace.trace_id)
        policies = self._site.policies(self._side)
        more = context.more_headers
        if isinstance(answer, Answer):
            answer = replace(answer, headers={**policies, **answer.headers})
        else:
            more = [*more, *((name.lower().encode(), value.encode()) for name, value in policies.items())]
        await answer.send_to(send, more_headers=more, head=scope["method"] == "HEAD")

    def _visit(self, scope: Scope, context: RequestContext) -> Visit:
        site, client = self._site, scope.get("client")
        # No page has more; what is beyond is none of ours.
        asked = b"&".join(scope["query_string"].split(b"&", MOST_ASKED)[:MOST_ASKED])
        query = parse_qsl(asked.decode("latin-1"), keep_blank_values=True)
        headers = context.headers
        return Visit(
            site=site,
            side=self._side,
            row=None,
            path=scope["path"],
            params=scope["path_params"],
            query=dict(query),
            form=Form(),
            asker=_asker(context, client, None),
            session=None,
            form_token="",
            now_ms=site.parts.now_ms(),
            secure=site.parts.options.base_url.startswith("https:") or scope.get("scheme") == "https",
            once=new_page_token(),
            only_looks=scope["method"] == "HEAD",
            live=scope["method"] == "GET" and is_wanted(headers.get(b"accept", b"")),
            headers=headers,
            peer=client[0] if client else None,
        )

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Sendable:
        site, method = self._site, scope["method"]
        if self._path == f"/{self._side}":
            return redirect(f"{self._side}/")
        row = self._rows.get("GET" if method == "HEAD" else method)
        if row is None and self._rows:
            raise WrongMethod(", ".join(sorted({*self._rows, *(("HEAD",) if "GET" in self._rows else ())})))
        visit.row = row
        kept = cookies(visit.headers)
        if row is not None and site.is_open(row):
            token = kept.get(FORM_COOKIE, "") or new_page_token()
            answer = await self._served(visit, row, receive, method, token)
            if kept.get(FORM_COOKIE):
                return answer
            set_cookie = cookie(FORM_COOKIE, token, path="/", secure=visit.secure, seconds=3_600)
            return replace(answer, headers={"Set-Cookie": set_cookie, **answer.headers})
        session = await site.sessions.find(kept.get(cookie_name(self._side), ""), visit.now_ms)
        if (session is None or session.side != self._side) and visit.live:
            return SESSION_OVER
        if session is None or session.side != self._side:
            after = visit.path.removeprefix(f"/{self._side}/") if method in ("GET", "HEAD") else ""
            if after and visit.query:
                after += "?" + urlencode(visit.query)
            return visit.goes(LOG_IN, query={"next": after} if after else None)
        self._let_in(visit, session, scope)
        if row is None:
            raise NotFound("There is no such page.")
        answer = await self._served(visit, row, receive, method, session.token)
        return self._followed(visit, row, session, answer, receive) if visit.live else answer

    def _followed(
        self, visit: Visit, row: Row, session: Session, first: Answer, receive: Receive
    ) -> Sendable:
        """Return the stream of a page's live part; what it shows is made anew with what may be seen then."""
        site = self._site
        if first.status != 200:
            return NOTHING_LIVE

        async def look() -> bytes | None:
            now_ms = site.parts.now_ms()
            good = await site.sessions.find(session.token, now_ms)
            if good is None:
                return None
            again = replace(visit, now_ms=now_ms, session=good)
            again.asker = replace(visit.asker, caller=good.caller)
            return (await row.handler(again)).body

        return Live(first.body, look=look, leaving=lambda: site.parts.leaving.begun, receive=receive)

    def _let_in(self, visit: Visit, session: Session, scope: Scope) -> None:
        context = context_of(scope)
        context.actor = session.caller.partner_id or ADMIN
        caller = session.caller
        if not visit.live and caller.via != LINK and caller.key_id != OPERATOR:
            self._site.parts.last_used.used(caller.key_id, visit.now_ms)
        visit.session = session
        visit.form_token = form_token(session.token)
        visit.asker = _asker(context, scope.get("client"), session)

    async def _served(self, visit: Visit, row: Row, receive: Receive, method: str, token: str) -> Answer:
        visit.form_token = form_token(token)
        if method == "POST":
            if not origin.is_ours(visit.headers, self._site.parts.options.base_url):
                raise Forbidden("This form was not sent by a page of this service.")
            if row.uploads:
                most = self._site.parts.options.files_max_bytes
                visit.form = await open_upload(receive, visit.headers, max_bytes=most)
            else:
                visit.form = await read_form(receive, visit.headers)
            if not is_form_token(visit.form.one("form_token"), token):
                raise Forbidden("The form is no longer good: open the page again and send it from there.")
        try:
            return await row.handler(visit)
        except (Invalid, UrlNotAllowed, Conflict) as refused:
            if row.again is None or not visit.marks(refused):
                raise
            return await row.again(visit)


def _asker(context: RequestContext, client: Any, session: Session | None) -> Asker:
    caller = NOBODY if session is None else session.caller
    return Asker(caller=caller, client=client, headers=context.headers, trace=context.trace)
