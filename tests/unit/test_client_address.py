"""Whose address a request came from."""

import pytest

from webhookd.api.client_address import UNKNOWN, client_address, parse_proxies
from webhookd.core.errors import SettingsError

TRUSTED = parse_proxies(["10.0.0.0/8", "fd00::1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9, nonsense", "10.1.1.1"),
        ("10.1.1.1", "10.3.3.3", "10.3.3.3"),
        ("10.1.1.1", None, "10.1.1.1"),
        ("::ffff:10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
        (None, "203.0.113.9", UNKNOWN),
        ("socket", "203.0.113.9", UNKNOWN),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str | None, forwarded: str | None, address: str) -> None:
    headers = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    assert client_address(peer, headers, TRUSTED) == address


def test_without_trusted_proxies_the_header_is_nothing() -> None:
    assert client_address("10.1.1.1", {b"x-forwarded-for": b"203.0.113.9"}, ()) == "10.1.1.1"


def test_wrong_proxy_is_named() -> None:
    with pytest.raises(SettingsError, match=r"WEBHOOKD_TRUSTED_PROXIES.*10\.0\.0\.300"):
        parse_proxies(["10.0.0.300"])
