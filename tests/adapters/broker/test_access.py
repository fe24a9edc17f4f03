"""The least rights and the TLS that the documentation gives suffice for all the work, on a real Valkey.

Valkey says itself what it refused: `ACL LOG`. The wheel's server has no TLS, so a proxy of ours has it.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.conftest import missing
from tests.support.installation import Parts
from tests.support.proxy import Proxy, address_of
from tests.support.services import ValkeyServer, until
from webhookd.adapters.broker import BrokerHealth
from webhookd.adapters.broker.checkup import check_up
from webhookd.adapters.broker.rights import RIGHTS
from webhookd.adapters.broker.turns import TurnWorker
from webhookd.cli.receiver import Receiver, bind, receiving
from webhookd.core.diagnosis import Level
from webhookd.core.errors import SettingsError
from webhookd.settings import load_settings
from webhookd.wiring.doctor import services
from webhookd.wiring.doctor.installation import Installation

GUIDE = Path(__file__).parents[3] / "docs/how-to/run-with-postgresql.md"
(LINE,) = re.findall(r"^user webhookd on (>password .+)$", GUIDE.read_text(), re.MULTILINE)
WORDS = LINE.split()
COMMANDS = sorted(word[1:] for word in WORDS if word.startswith("+"))

OURS = trustme.CA(organization_name="ours")
STRANGER = trustme.CA(organization_name="a stranger")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One for all tests here; each gives its user the rights it wants."""
    try:
        valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    except SettingsError as error:
        missing(error)
    with valkey:
        yield valkey


def as_owner(server: ValkeyServer, *words: str) -> Any:
    """What the server answers to its owner."""
    client: Any
    with server.client() as client:
        return client.execute_command(*words)


@pytest.fixture
def allow(server: ValkeyServer) -> Iterator[Callable[..., None]]:
    """Give the user of the documentation the words that are documented, and then these."""

    def give(*words: str) -> None:
        as_owner(server, "ACL", "SETUSER", "webhookd", "reset", "on", *WORDS, *words)
        as_owner(server, "ACL", "LOG", "RESET")

    yield give
    with server.client() as client:
        client.flushall()


@pytest.fixture
def url(server: ValkeyServer, allow: Callable[..., None]) -> str:
    """Where that user gets in, with the documented rights."""
    allow()
    return server.url.replace("unix://", "unix://webhookd:password@", 1)


def refused(server: ValkeyServer) -> list[object]:
    """What the server refused since the rights were given."""
    return list(as_owner(server, "ACL", "LOG"))


@pytest.fixture(scope="module")
def front(server: ValkeyServer) -> Iterator[Callable[[bool], Proxy]]:
    """Return the front with TLS, which asks for a client's certificate or does not, for 127.0.0.1 alone."""
    certificate = OURS.issue_cert("127.0.0.1")
    proxies: dict[bool, Proxy] = {}

    def get(asks: bool) -> Proxy:
        if asks not in proxies:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(tls)
            if asks:
                OURS.configure_trust(tls)
                tls.verify_mode = ssl.CERT_REQUIRED
            proxies[asks] = Proxy(address_of(server.url), tls=tls)
            proxies[asks].__enter__()
        return proxies[asks]

    yield get
    for proxy in proxies.values():
        proxy.__exit__()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private CA's certificate, as an operator has it."""
    path = tmp_path / "ca.pem"
    OURS.cert_pem.write_to_path(path)
    return path


# ── the rights ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def encrypted_url(allow: Callable[..., None], front: Callable[[bool], Proxy], authority: Path) -> str:
    """Where that user gets in through TLS, in the form of the documentation."""
    allow()
    return f"rediss://webhookd:password@127.0.0.1:{front(False).port}/0?ssl_ca_certs={authority}"


async def test_task_goes_through_with_the_documented_rights_over_tls(
    server: ValkeyServer, encrypted_url: str, postgres_url: str, tmp_path: Path
) -> None:
    parts = Parts(tmp_path / "parts", database_url=postgres_url, broker_url=encrypted_url)
    app = Receiver()
    try:
        with bind("127.0.0.1", 0) as listener:
            await parts.start()
            async with receiving(app, listener) as receiver_url, parts.client() as http:
                partner = (await http.post("/v1/partners", json={"name": "acme"})).json()
                with server.client() as client:  # to be scrubbed, and a queue too long
                    client.hset("webhookd:metrics", "not ours", "x")
                    client.rpush("webhookd:default", *(["junk"] * 500))
                done = await http.post(
                    "/v1/tasks",
                    json={"type": "demo.sleep", "input": {"seconds": 0.2}, "callback_url": receiver_url},
                    headers={"Authorization": f"Bearer {partner['key']}", "Prefer": "wait=30"},
                )
                assert (done.status_code, done.json()["state"]) == (200, "succeeded")
                await until(lambda: app.hits, what="the webhook")

                async def told() -> bool:
                    return 'webhookd_runs_total{type="demo.sleep",outcome="succeeded"} 1' in await metrics()

                async def metrics() -> str:
                    return (await http.get("/metrics")).text

                await until(told, what="the run in the metrics")
                assert 'webhookd_broker_forged_total{what="metrics"} 1' in await metrics()
                assert (await http.get("/readyz")).json()["broker"] == {"status": "ok"}
            levels, said = await found(encrypted_url)
            assert set(levels) == {Level.OK}, said
        await parts.stop()
    finally:
        parts.end()
    assert refused(server) == []


async def test_junk_of_the_wrong_kind_is_cleared_with_the_documented_rights(
    server: ValkeyServer, url: str
) -> None:
    with server.client() as client:
        for key in ("webhookd:default", "webhookd:default.msgs"):
            client.set(key, "junk")
    turns: list[str] = []

    async def turn(queue: str) -> None:
        turns.append(queue)

    worker = TurnWorker(
        url, namespace="webhookd", queues=["default"], on_turn=turn, loop=asyncio.get_running_loop()
    )
    worker.start()
    try:
        await until(lambda: len(turns) > 1, what="a turn that came of the junk")
    finally:
        await worker.stop(5)
    assert as_owner(server, "EXISTS", "webhookd:default", "webhookd:default.msgs") == 0
    assert refused(server) == []


def test_documented_rights_are_those_that_doctor_tries() -> None:
    assert sorted({right.word for right in RIGHTS}) == COMMANDS


async def found(url: str) -> tuple[list[Level], str]:
    """What doctor's check of the broker says."""
    async with Installation(load_settings(broker_url=url)) as installation:
        findings = await services.broker(installation)
    return [one.level for one in findings], " ".join(f"{one.what} {one.mend}" for one in findings)


async def test_doctor_is_content_with_the_documented_rights(server: ValkeyServer, url: str) -> None:
    levels, _ = await found(url)
    assert set(levels) == {Level.OK}
    assert refused(server) == []
    with server.client() as client:
        assert client.keys("*__doctor__*") == []


@pytest.mark.parametrize("command", COMMANDS)
async def test_one_right_less_is_found_and_named(url: str, allow: Callable[..., None], command: str) -> None:
    allow(f"-{command}")
    assert {right.word for right in (await check_up(url)).lacking} == {command}
    levels, said = await found(url)
    assert levels == [Level.PROBLEM]
    assert f"+{command}" in said


@pytest.mark.parametrize("words", [["resetkeys", "~other:*"], ["resetkeys", "~webhookd:__readyz__*"]])
async def test_keys_that_may_not_be_touched_are_found(
    url: str, allow: Callable[..., None], words: list[str]
) -> None:
    allow(*words)
    levels, said = await found(url)
    assert levels == [Level.PROBLEM]
    assert "hints, " in said


async def test_channel_that_may_not_be_used_is_found(url: str, allow: Callable[..., None]) -> None:
    allow("resetchannels")
    levels, said = await found(url)
    assert (levels, "watchers" in said, "hints" in said) == ([Level.PROBLEM], True, False)


@pytest.mark.parametrize("command", ["rpush", "evalsha", "llen", "publish", "blpop"])
async def test_readiness_says_when_hints_do_not_get_through(
    url: str, allow: Callable[..., None], command: str
) -> None:
    health = BrokerHealth(url)
    try:
        assert (await health.check()).ok
        allow(f"-{command}")
        assert (await health.check()).reason == "access denied"
    finally:
        await health.aclose()


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def reason(url: str) -> str | None:
    """Why the broker is of no use there; None where it is. A machine that is busy answers late: ask again."""
    health = BrokerHealth(url)
    try:
        for _ in range(10):
            found = (await health.check()).reason
            if found != "no answer in time":
                break
        return found
    finally:
        await health.aclose()


async def test_private_authority_is_trusted_by_its_file_alone(
    front: Callable[[bool], Proxy], authority: Path, tmp_path: Path
) -> None:
    url = f"rediss://127.0.0.1:{front(False).port}/0"
    assert await reason(f"{url}?ssl_ca_certs={authority}") is None
    assert await reason(url) == "cannot connect"
    stranger = tmp_path / "stranger.pem"
    STRANGER.cert_pem.write_to_path(stranger)
    assert await reason(f"{url}?ssl_ca_certs={stranger}") == "cannot connect"


async def test_name_in_the_certificate_is_checked(front: Callable[[bool], Proxy], authority: Path) -> None:
    url = f"rediss://localhost:{front(False).port}/0?ssl_ca_certs={authority}"
    assert await reason(url) == "cannot connect"


async def test_plain_text_gets_nowhere_at_a_server_with_tls(front: Callable[[bool], Proxy]) -> None:
    assert await reason(f"redis://127.0.0.1:{front(False).port}/0") == "cannot connect"


async def test_certificate_of_the_client_is_shown_where_it_is_asked_for(
    front: Callable[[bool], Proxy], authority: Path, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    made = OURS.issue_cert("webhookd.internal")
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    url = f"rediss://127.0.0.1:{front(True).port}/0?ssl_ca_certs={authority}"
    assert await reason(url) == "cannot connect"
    assert await reason(f"{url}&ssl_certfile={certificate}&ssl_keyfile={key}") is None
