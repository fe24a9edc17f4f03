"""One request for a page, as the page's module sees it: who asks, what was asked, and the API from within."""

import asyncio
import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from webhookd.api.answers import Answer
from webhookd.api.inside import Asker, Said
from webhookd.core.errors import Forbidden, Invalid, WebhookdError
from webhookd.pages.filters import Filters, readable
from webhookd.pages.forms import Form, Upload
from webhookd.pages.frame import rendered
from webhookd.pages.notices import NOTICE
from webhookd.pages.page_rows import ADMIN, Row
from webhookd.pages.page_sessions import Session

if TYPE_CHECKING:
    from webhookd.pages.site import Site


@dataclass(slots=True, kw_only=True)
class Visit:
    """A page that is asked for. `query` and `form` are what came, `params` what stands in its path."""

    site: "Site"
    side: str
    row: Row | None
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Form
    asker: Asker
    session: Session | None
    form_token: str
    now_ms: int
    secure: bool
    headers: Mapping[bytes, bytes]
    peer: str | None
    once: str
    """What the forms of this page are told apart by from those of the same page shown another time."""
    only_looks: bool = False
    """Whether only the head of the answer is wanted."""
    live: bool = False
    """Whether only the live part of the page is wanted."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with fields of the page's form, by their names."""

    @property
    def is_admin(self) -> bool:
        """Whether this is an admin's page."""
        return self.side == ADMIN

    @property
    def root(self) -> str:
        """The way from this page to where the service's paths begin, below whatever prefix of a proxy."""
        return "../" * (self.path.count("/") - 1)

    @property
    def home(self) -> str:
        """The way from this page to where the pages of its side begin."""
        return f"{self.root}{self.side}/"

    def may(self, scope: str) -> bool:
        """Whether this key has a scope: nobody is shown a button that would be refused."""
        return self.session is not None and self.session.caller.may(scope)

    def must(self, scope: str) -> None:
        """Refuse to ask for what would be refused then. Raises Forbidden."""
        if not self.may(scope):
            raise Forbidden(f"The key lacks the scope {scope}.")

    def typed(self, name: str, value: Any) -> Any:
        """Return what was typed into a field of a form that is shown again; `value` where none is."""
        return self.form.one(name) if self.faults and name in self.form.fields else value

    def marks(self, error: WebhookdError) -> bool:
        """Whether an error is about fields of the form that was sent; then it is told at them."""
        faults = {_field(one.path): one.message for one in error.errors}
        if not faults or not faults.keys() <= self.form.fields.keys():
            return False
        self.faults = faults
        return True

    async def get(self, path: str, **query: str | int | None) -> Any:
        """Return what the API shows there. Raises as the call refuses."""
        return await self.look(path, {name: value for name, value in query.items() if value is not None})

    async def look(self, path: str, query: Mapping[str, str | int]) -> Any:
        """The same for names that Python cannot spell."""
        said = await self.site.inside.ask("GET", path, self.asker, query=query)
        return said.document

    async def listed(self, path: str, filters: Filters, **more: str | int | None) -> Any:
        """Return a page of a listing. What is wrong with filters is told at their fields, and nothing listed.

        Raises as the call refuses for anything else.
        """
        asked, faults = readable(filters)
        try:
            page = await self.get(path, **{**asked, **more})
        except Invalid as error:
            refused = {one.path.removeprefix("$."): one.message for one in error.errors}
            fields = filters.keys() if self.is_admin else filters.keys() - {"partner"}
            if not refused or not refused.keys() <= fields:
                raise
            faults |= refused
        else:
            if not faults:
                return page
        self.faults = faults
        return {"data": [], "next_cursor": None}

    async def do(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | int] | None = None,
        prefer: str = "",
    ) -> Said:
        """Have the API do something, once however often this form is sent. Raises as the call refuses."""
        headers = {"Prefer": prefer} if prefer else {}
        if method == "POST":
            body = {} if body is None else body
            headers["Idempotency-Key"] = _key(self.form.one("once"), path, body)
        return await self.site.inside.ask(method, path, self.asker, query=query, body=body, headers=headers)

    async def send(self, path: str, file: Upload, *, query: Mapping[str, str]) -> Said:
        """Have the API take a file as it arrives, once however often this form is sent. Raises as `do`."""
        headers = {
            "Idempotency-Key": _key(self.form.one("once"), path, query),
            "Content-Type": file.content_type,
        }
        ask = self.site.inside.ask
        return await ask("POST", path, self.asker, query=query, headers=headers, stream=file.chunks)

    def page(self, template: str, *, title: str, status: int = 200, **values: Any) -> Answer:
        """Return a page; it is a refusal where a field of its form is wrong."""
        status = 422 if self.faults else status
        return rendered(self, template, title=title, status=status, **values)

    def goes(self, path: str, *, notice: str = "", query: Mapping[str, str] | None = None) -> Answer:
        """Return the way to a page of this side, after a form has done its work."""
        asked = dict(query or {})
        if notice:
            asked[NOTICE] = notice
        return redirect(f"{self.home}{path}{'?' + urlencode(asked) if asked else ''}")

    def filters(self, names: Sequence[str]) -> Filters:
        """Return those parameters of the URL that have a value."""
        return Filters({name: self.query[name] for name in names if self.query.get(name)})


async def side_by_side(*looks: Awaitable[Any]) -> list[Any]:
    """Return what each look finds, in order; none is left under way. Raises what the first one raises."""
    found = await asyncio.gather(*looks, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def _field(path: str) -> str:
    """Return the field of a form that a path in a body is of: `$.retry.factor`, `$.events[0]`."""
    return path.rpartition(".")[2].partition("[")[0]


def _key(once: str, path: str, body: Any) -> str:
    """Return the Idempotency-Key of an order: one page may give several, each of them once."""
    return hashlib.sha256(orjson.dumps([once, path, body])).hexdigest()[:40]


def redirect(location: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the way to another page, to be asked for with GET."""
    return Answer(status=303, headers={"Location": location, **(headers or {})})
