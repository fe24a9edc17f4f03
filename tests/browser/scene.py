"""What the browser tests play in: a service, partners with calls of their own, receivers that fail."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import httpx

from tests.browser.chromium import Page
from tests.support.listening import Quiet, listening
from tests.support.plain_http import ask
from tests.support.services import eventually

ADMIN_KEY: Final = "an-admin-key-of-the-browser-tests"
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running installation; `link` logs an admin in once."""

    url: str
    link: str
    folder: Path

    def call(self, method: str, path: str, *, key: str = ADMIN_KEY, body: Any = None) -> Any:
        """Call the API and return its document. Raises for what is no success."""
        answer = ask(method, self.url + path, key, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A partner with its key."""

    service: Service
    id: str
    name: str
    key: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API as this partner."""
        return self.service.call(method, path, key=self.key, body=body)

    def endpoint(self, url: str, **more: Any) -> str:
        """Register an endpoint; return its id."""
        return str(self.call("POST", "/v1/endpoints", {"url": url, **more})["id"])

    def echo(self, endpoint_id: str | None = None, **more: Any) -> str:
        """Have something done that ends at once; return the task's id."""
        named = {} if endpoint_id is None else {"endpoints": [endpoint_id]}
        body = {"type": "demo.echo", "input": {"n": 1}, **named, **more}
        return str(self.call("POST", "/v1/tasks", body)["id"])

    def dead_letters(self, count: int, **query: str) -> list[dict[str, Any]]:
        """Wait until there are so many; return them."""
        path = f"/v1/dead-letters?{httpx.QueryParams(query)}"
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = self.call("GET", path)["data"]
            return len(found) >= count

        eventually(enough, f"{count} of {path}")
        return found

    def let_die(self, receiver: "Receiver", count: int) -> tuple[str, list[dict[str, Any]]]:
        """Send so much while the receiver fails; return its endpoint's id and the dead letters."""
        receiver.status = {"/": 500}
        endpoint = self.endpoint(receiver.url)
        for _ in range(count):
            self.echo(endpoint)
        letters = self.dead_letters(count)
        receiver.status = {}
        return endpoint, letters


def new_partner(service: Service, **more: Any) -> Partner:
    """Make a partner."""
    name = more.pop("name", None) or f"partner {next(_NUMBERS)}"
    made = service.call("POST", "/v1/partners", body={"name": name, **more})
    return Partner(service=service, id=made["id"], name=name, key=made["key"])


@dataclass(slots=True)
class Receiver:
    """A receiver; `status` is what it answers by path, 200 where nothing is said.

    `judge` decides about a path, its headers and its body, where that is not enough.
    """

    url: str
    status: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    hits: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    judge: Callable[[str, dict[str, str], bytes], tuple[int, str]] | None = None


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on this machine."""
    told = Receiver("")

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            told.hits.append((self.path, headers, body))
            status, text = told.status.get(self.path, 200), told.bodies.get(self.path, "")
            if told.judge is not None:
                status, text = told.judge(self.path, headers, body)
            said = text.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    with listening(Handler) as told.url:
        yield told


def log_in(
    page: Page, service: Service, key: str = ADMIN_KEY, *, side: str = "admin", path: str = ""
) -> None:
    """Log in by the form."""
    page.go(f"{service.url}/{side}/{path}")
    page.heading("Log in")
    page.fill("textbox", "Key", key)
    page.press("button", "Log in")
    page.wait_for("document.querySelector('nav') !== null")


def complaints(page: Page) -> list[str]:
    """What went wrong in the page: its console, its policy. The browser's hints about forms are not that."""
    return [one for one in page.complaints if not one.startswith("issue") or "SecurityPolicy" in one]
