"""A real Chromium without a window, told what to do over its DevTools protocol.

The browser is the system's own: nothing is downloaded, and it can reach this machine only. What pages do is
remembered: every request, every console message, every violation of a content security policy.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

PATIENCE_SECONDS: Final = 90.0
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # it refuses to run as root otherwise; the only pages it sees are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


class BrowserMissing(Exception):
    """Raised where there is no Chromium; the text says how to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A response the page got."""

    url: str
    status: int
    kind: str


@dataclass(slots=True)
class Page:
    """One tab. `requests` are the URLs it asked for, `complaints` what its console shows.

    `clicks` and `fields` are what a person did: pressed, and filled in. `heard` counts events by their names.
    """

    browser: "Browser"
    session: str
    target: str
    requests: list[str] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: int = 0
    clicks: int = 0
    fields: int = 0
    heard: Counter[str] = field(default_factory=Counter)

    def go(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        before = self.loaded
        answer = self.tell("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.browser.wait_until(lambda: self.loaded > before, what=f"{url} to load")

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression; a promise is awaited."""
        answer = self.tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Have a window of this size, in CSS pixels."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def click(self, selector: str) -> None:
        """Click with the mouse, where the first such element is."""
        x, y = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            f" return [r.left + r.width / 2, r.top + r.height / 2]; }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def named(self, role: str, name: str) -> list[int]:
        """Return the elements that have this role and exactly this accessible name, if shown."""
        root = self.tell("DOM.getDocument", depth=0)["root"]["nodeId"]
        found = self.tell("Accessibility.queryAXTree", nodeId=root, role=role, accessibleName=name)["nodes"]
        return [node["backendDOMNodeId"] for node in found if not node["ignored"]]

    def see(self, role: str, name: str) -> int:
        """Wait for such an element and return the last of them: a dialog's stands behind the page's."""
        found: list[int] = []

        def is_there() -> bool:
            with suppress(AssertionError):  # the page is just being replaced
                found[:] = self.named(role, name)
            return bool(found)

        self.browser.wait_until(is_there, what=f"the {role} {name!r}")
        return found[-1]

    def press(self, role: str, name: str) -> None:
        """Click with the mouse on an element by its role and name."""
        self.clicks += 1
        node = self.see(role, name)
        self.tell("DOM.scrollIntoViewIfNeeded", backendNodeId=node)
        quad = self.tell("DOM.getContentQuads", backendNodeId=node)["quads"][0]
        x, y = sum(quad[0::2]) / 4, sum(quad[1::2]) / 4
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def fill(self, role: str, name: str, text: str) -> None:
        """Write into a field, in place of what is there."""
        self.fields += 1
        self.tell("DOM.focus", backendNodeId=self.see(role, name))
        self.evaluate("document.activeElement.select?.()")
        self.tell("Input.insertText", text=text)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            self.tell(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true, over navigations."""

        def holds() -> bool:
            with suppress(AssertionError):
                return bool(self.evaluate(expression))
            return False

        self.browser.wait_until(holds, what=expression)

    def drawn(self) -> None:
        """Wait until the page is on the screen: the browser drops keys that are pressed before."""
        self.wait_for("document.readyState === 'complete'")
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def heading(self, text: str) -> None:
        """Wait for a page by its one heading."""
        self.wait_for(
            "document.readyState === 'complete' && document.querySelectorAll('h1').length === 1 && "
            f"document.querySelector('h1').textContent === {json.dumps(text)}"
        )

    def tell(self, method: str, **params: Any) -> Any:
        """Send a command to this tab and return its result."""
        return self.browser.tell(method, session=self.session, **params)

    def hear(self, method: str, params: Mapping[str, Any]) -> None:
        """Take in an event."""
        self.heard[method] += 1
        match method:
            case "Page.loadEventFired":
                self.loaded += 1
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.responseReceived":
                response = params["response"]
                self.answers.append(
                    Answered(url=response["url"], status=response["status"], kind=response["mimeType"])
                )
            case "Log.entryAdded":
                entry = params["entry"]
                self.complaints.append(f"{entry['level']} {entry['text']} {entry.get('url', '')}")
            case "Runtime.consoleAPICalled":
                said = [str(one.get("value", one.get("description"))) for one in params["args"]]
                self.complaints.append(f"{params['type']} {' '.join(said)}")
            case "Runtime.exceptionThrown":
                self.complaints.append(f"exception {params['exceptionDetails']['text']}")
            case "Audits.issueAdded":
                self.complaints.append(f"issue {json.dumps(params['issue'])}")


class Browser:
    """A running browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._pages: dict[str, Page] = {}
        self._results: dict[int, Any] = {}

    def page(self, *, alone: bool = False) -> Page:
        """A new, empty tab; `alone` it has cookies of its own."""
        where = (
            {"browserContextId": self.tell("Target.createBrowserContext")["browserContextId"]}
            if alone
            else {}
        )
        target = self.tell("Target.createTarget", url="about:blank", **where)["targetId"]
        session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
            page.tell(f"{domain}.enable")
        return page

    def pages(self) -> set[str]:
        """The sessions of the tabs that are open."""
        return set(self._pages)

    def close(self, session: str) -> None:
        """Close a tab: left open it would go on asking for its live part."""
        self.tell("Target.closeTarget", targetId=self._pages.pop(session).target)

    def tell(self, method: str, *, session: str | None = None, **params: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(command if session is None else {**command, "sessionId": session}))
        self.wait_until(lambda: number in self._results, what=method)
        answer = self._results.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def wait_until(self, holds: Any, *, what: str) -> None:
        """Take in what the browser says until something holds."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            left = give_up_at - time.monotonic()
            assert left > 0, f"waited for {what} in vain"
            with suppress(TimeoutError):
                self._hear(json.loads(self._socket.recv(timeout=min(left, 0.1))))

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._results[message["id"]] = message
        elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
            page.hear(message["method"], message["params"])


def find() -> str:
    """Return the path of a browser. Raises BrowserMissing."""
    for name in _NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    raise BrowserMissing("there is no Chromium on the PATH: install the system's package `chromium`")


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """Run a browser; its profile is in `folder`. Raises BrowserMissing."""
    path = find()
    profile = folder / "profile"
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [path, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = _address(process, profile / "DevToolsActivePort", folder / "chromium.log")
        with connect(address, proxy=None, max_size=None, ping_interval=None) as socket:
            yield Browser(socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(process: "subprocess.Popen[bytes]", file: Path, log: Path) -> str:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(FileNotFoundError, ValueError):
            port, path = file.read_text().splitlines()
            return f"ws://127.0.0.1:{port}{path}"
        told = log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, f"the browser ended:\n{told}"
        assert time.monotonic() < give_up_at, f"the browser does not start:\n{told}"
        time.sleep(0.05)
