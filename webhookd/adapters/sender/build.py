"""Putting a guarded sender together."""

import ssl
from collections.abc import Callable

from yarl import URL

from webhookd.adapters.sender.connector import GuardedConnector
from webhookd.adapters.sender.guard import Guard
from webhookd.adapters.sender.lookups import Lookups, Resolve, system_addresses
from webhookd.adapters.sender.sender import Sender
from webhookd.adapters.sender.transport import GuardedTransport
from webhookd.core.egress import EgressPolicy
from webhookd.core.errors import SettingsError
from webhookd.core.facts import AddressesRefused


def build_sender(
    policy: EgressPolicy,
    *,
    timeout_seconds: float,
    proxy_url: str | None,
    max_connections: int,
    max_per_host: int,
    excerpt_seconds: float = 2.0,
    ssl_context: ssl.SSLContext | None = None,
    on_security_event: Callable[[AddressesRefused], None] | None = None,
    resolve: Resolve = system_addresses,
) -> Sender:
    """Return a sender for the running event loop.

    `max_connections` are in use at once, over all hosts; `max_per_host` of them to one host and port,
    whoever's webhooks they carry. `ssl_context` replaces the system's trust.
    `resolve` replaces the system's resolver and is called in threads.

    Raises:
        SettingsError: `proxy_url` is no URL of a proxy.
        ValueError: `ssl_context` does not verify certificates and host names.

    Without `ssl_context` this reads the system's certificates from disk (some 20 ms): call it at start.
    """
    proxy = parse_proxy(proxy_url) if proxy_url else None
    context = ssl_context or _system_trust()
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("the TLS context of a sender must verify certificates and host names")
    # Whoever waits for a look-up holds one of the connections, so as many threads are enough.
    guard = Guard(policy, Lookups(resolve, threads=max_connections), on_security_event)
    connector = GuardedConnector(
        guard,
        ssl_context=context,
        max_connections=max_connections,
        max_per_host=max_per_host,
    )
    transport = GuardedTransport(connector, policy, proxy=proxy)
    return Sender(
        transport,
        timeout_seconds=timeout_seconds,
        excerpt_seconds=excerpt_seconds,
        max_per_host=max_per_host,
    )


def _system_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def parse_proxy(text: str) -> URL:
    """Read WEBHOOKD_EGRESS_PROXY. Raises SettingsError, which does not repeat it: it may hold a password."""
    try:
        proxy = URL(text)
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.raw_host:
        raise SettingsError(
            "WEBHOOKD_EGRESS_PROXY must be the http:// or https:// URL of a proxy with CONNECT, such as "
            "http://proxy.internal:3128."
        )
    return proxy
