"""Another origin than the service's: it serves what a test puts there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.listening import Quiet, listening


@dataclass(slots=True)
class Elsewhere:
    """A web server. `pages` has type and bytes by path."""

    origin: str
    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Serve on a free port of this machine."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = place.pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as url:
        place = Elsewhere(origin=url)
        yield place
