"""Two APIs and workers, and every proxy in front of them twice: as the page has it, and as people paste it.

The page's lines are used as they stand, but for ports, the host's name and the paths of its certificate.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import trustme

from tests.proxies.programs import PROGRAMS, Program, log_of
from tests.support.installation import Parts
from tests.support.services import Databases, ValkeyServer, free_port

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "run-behind-a-proxy.md"
PREFIX: Final = "/hooks"
PUBLIC_URL: Final = f"https://example.com{PREFIX}"
LONGEST_WAIT_SECONDS: Final = 2
DRAIN_SECONDS: Final = 4
_START_SECONDS: Final = 30

BARE: Final[Mapping[str, str]] = {
    # The WebSocket recipe with a kept upstream, as it stands in a thousand answers.
    "nginx": """
        map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
        upstream bare { server 127.0.0.1:8080; keepalive 4; }
        server {
            listen 127.0.0.1:80;
            client_max_body_size 100m;
            location / {
                proxy_pass http://bare;
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $connection_upgrade;
            }
        }
    """,
    "HAProxy": """
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    http-reuse always
frontend http
    bind 127.0.0.1:80
    default_backend api
backend api
    server a 127.0.0.1:8080
    """,
    "Apache": """
Listen 127.0.0.1:80
<VirtualHost 127.0.0.1:80>
    ProxyPass "/" "http://127.0.0.1:8080/" upgrade=ANY
</VirtualHost>
    """,
    "Caddy": "http://127.0.0.1:80 {\n\treverse_proxy 127.0.0.1:8080\n}",
}


def page_lines() -> dict[str, str]:
    """Return each program's block of the page."""
    found = {}
    for program in PROGRAMS:
        [found[program.name]] = re.findall(rf"```{program.language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A proxy that runs: where it is, and how it is trusted."""

    program: str
    port: int
    prefix: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """The base URL of the API behind it."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.prefix}"

    def client(
        self, key: str | None = None, *, source: str | None = None, **options: Any
    ) -> httpx.AsyncClient:
        """An HTTP client; `source` is the address its connections come from."""
        transport = httpx.AsyncHTTPTransport(
            verify=self.tls or False, local_address=source, limits=httpx.Limits(max_connections=None)
        )
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, transport=transport, timeout=30, trust_env=False, **options
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxiedSite:
    """The installation, and the doors to it. `bare` ones lead to the first API alone."""

    parts: Parts
    doors: Mapping[str, Door]
    bare: Mapping[str, Door]
    partners: Sequence[dict[str, str]]


@contextmanager
def proxied_site(folder: Path, postgres: Databases, programs: Sequence[Program]) -> Iterator[ProxiedSite]:
    """Start everything, the proxies that `programs` has. Raises SettingsError."""
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
        parts = Parts(
            folder / "parts",
            database_url=postgres.create_database(),
            broker_url=valkey.url,
            apis=2,
            WEBHOOKD_TRUSTED_PROXIES="127.0.0.1",
            WEBHOOKD_MAX_WAIT_SECONDS=str(LONGEST_WAIT_SECONDS),
            WEBHOOKD_DRAIN_SECONDS=str(DRAIN_SECONDS),
            WEBHOOKD_PUBLIC_URL=PUBLIC_URL,
        )
        stack.callback(parts.end)
        asyncio.run(parts.start())
        authority = trustme.CA()
        tls = ssl.create_default_context()
        authority.configure_trust(tls)
        doors: dict[str, Door] = {}
        bare: dict[str, Door] = {}
        for program in programs:
            place = folder / program.name.lower()
            certificates = _write_certificate(authority, place / "certificates")
            for found, block, kind, more in (
                (doors, page_lines()[program.name], "page", {"prefix": PREFIX, "tls": tls}),
                (bare, BARE[program.name], "bare", {}),
            ):
                port = free_port()
                lines = _fitted(block, port, parts.urls, certificates)
                found[program.name] = stack.enter_context(_door(program, lines, place / kind, port, **more))
        partners = [asyncio.run(parts.partner(name)) for name in ("acme", "mallory")]
        yield ProxiedSite(parts=parts, doors=doors, bare=bare, partners=partners)


@contextmanager
def _door(program: Program, lines: str, folder: Path, port: int, **more: Any) -> Iterator[Door]:
    with program.running(lines, folder) as process:
        give_up_at = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert process.poll() is None, f"{program.name} ended:\n{log_of(folder)}"
            assert time.monotonic() < give_up_at, f"{program.name} did not start:\n{log_of(folder)}"
            time.sleep(0.05)
        yield Door(program=program.name, port=port, **more)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _fitted(lines: str, port: int, apis: Sequence[str], certificates: Path) -> str:
    """Return the lines with this machine's ports and paths in the place of a server's."""
    at = f"127.0.0.1:{port}"
    for usual, ours in (
        ("listen 443 ", f"listen {at} "),
        ("bind :443 ", f"bind {at} "),
        (
            "<VirtualHost *:443>",
            f"Listen {at}\n<VirtualHost {at}>",
        ),  # ports.conf says Listen where it is installed
        ("example.com {", f"https://{at} {{\n\ttls {certificates}/chain.pem {certificates}/key.pem"),
        ("/etc/ssl/example.com.both.pem", f"{certificates}/both.pem"),
        ("/etc/ssl/example.com.pem", f"{certificates}/chain.pem"),
        ("/etc/ssl/example.com.key", f"{certificates}/key.pem"),
        ("example.com", "127.0.0.1"),
        *(
            (f"127.0.0.1:{usual}", url.removeprefix("http://"))
            for usual, url in zip((8080, 8081), apis, strict=True)
        ),
    ):
        lines = lines.replace(usual, ours)
    return re.sub(r"\b127\.0\.0\.1:80\b", at, lines)


def _write_certificate(authority: trustme.CA, folder: Path) -> Path:
    folder.mkdir(parents=True)
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for certificate in issued.cert_chain_pems:
        certificate.write_to_path(folder / "chain.pem", append=True)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return folder
