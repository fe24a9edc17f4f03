"""A night in which three receivers failed: 500 dead letters, each of them refused by a real receiver.

One breaks on some orders, one is away for some refunds, and one verifies what it has parsed and written anew.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.browser.scene import ADMIN_KEY, Partner, Receiver, Service, new_partner, receiving
from tests.support.command_line import environment, serving, url_of

DEAD: Final = {"/orders": 300, "/refunds": 191, "/stock": 9}
PATIENCE_SECONDS: Final = 300.0
_AT_A_TIME: Final = 500


@dataclass(slots=True, kw_only=True)
class Night:
    """What it left. `mended` are the paths of the receivers that work again."""

    service: Service
    partner: Partner
    receiver: Receiver
    endpoints: dict[str, str]
    secrets: dict[str, str]
    mended: set[str] = field(default_factory=set)

    def judge(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Answer a webhook: what a receiver that is not mended cannot take, it refuses."""
        if path not in self.mended and path in self.endpoints:
            if json.loads(body)["data"]["metadata"]["gift"] == "no":
                return 200, '{"ok": true}'
            return self._verified_anew(headers, body) if path == "/stock" else _REFUSED[path]
        return 200, '{"ok": true}'

    def _verified_anew(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        try:
            Webhook(self.secrets["/stock"]).verify(json.dumps(json.loads(body)), headers)
        except WebhookVerificationError as error:
            return 401, json.dumps({"error": str(error)})
        return 200, ""

    def dead(self, path: str) -> int:
        """How many dead letters there are of one of them."""
        filters = f"endpoint={self.endpoints[path]}&group_by=endpoint"
        groups = self.partner.call("GET", f"/v1/dead-letters/summary?{filters}")["data"]
        return sum(one["count"] for one in groups)


_REFUSED: Final = {
    "/orders": (500, '{"error": "column \\"gift_wrap\\" does not exist", "at": "orders/import.py:88"}'),
    "/refunds": (503, "upstream connect error or disconnect before headers"),
}


@contextmanager
def night(folder: Path) -> Iterator[Night]:
    """Run an installation of its own through the night."""
    settings = {
        "WEBHOOKD_ADMIN_KEY": ADMIN_KEY,
        "WEBHOOKD_RETRY_MAX_ATTEMPTS": "1",  # retries would come one behind the other, and open a breaker
    }
    with (
        receiving() as receiver,
        serving("--dev", cwd=folder, env=environment(**settings)) as up,
    ):
        service = Service(url=url_of(up), link=up.wait_for("log in once").split()[-1], folder=folder)
        partner = new_partner(service, name="Northwind")
        made = {path: _endpoint(partner, receiver, path) for path in DEAD}
        left = Night(
            service=service,
            partner=partner,
            receiver=receiver,
            endpoints={path: one["id"] for path, one in made.items()},
            secrets={path: one["secret"] for path, one in made.items()},
        )
        receiver.judge = left.judge
        _pass(left)
        yield left


def _endpoint(partner: Partner, receiver: Receiver, path: str) -> dict[str, Any]:
    body = {"url": receiver.url + path, "description": path[1:].capitalize()}
    made: dict[str, Any] = partner.call("POST", "/v1/endpoints", body)
    return made


def _pass(left: Night) -> None:
    """Submit what dies, between what does not: who fails each time is soon asked no more."""
    for path, many in DEAD.items():
        tasks = [
            _task(left, path, number, gift=gift) for number in range(many) for gift in ("no", "no", "yes")
        ]
        for first in range(0, len(tasks), _AT_A_TIME):
            left.partner.call("POST", "/v1/tasks/batch", {"tasks": tasks[first : first + _AT_A_TIME]})
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while missing := {path for path, many in DEAD.items() if left.dead(path) < many}:
        assert time.monotonic() < give_up_at, missing
        for path in missing:  # a breaker that opened all the same is to try at once
            left.partner.call("POST", f"/v1/endpoints/{left.endpoints[path]}/retry")
        time.sleep(0.25)


def _task(left: Night, path: str, number: int, *, gift: str) -> dict[str, Any]:
    return {
        "type": "demo.echo",
        "input": {"n": number},
        "endpoints": [left.endpoints[path]],
        "metadata": {"order": str(1000 + number), "gift": gift},
    }
