"""Whose address a request came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("203.0.113.50:4711", "203.0.113.50"),
        ("[2001:db8:1:2::3]:80", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::3]", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ("[::ffff:203.0.113.50]:80", "203.0.113.50"),
        ("10.2.2.2:99, 203.0.113.50:4711 , 10.2.2.2:80", "203.0.113.50"),
        ("203.0.113.50,", "203.0.113.50"),
        ("203.0.113.50:", "10.1.1.1"),
        ("203.0.113.50:port", "10.1.1.1"),
        ("203.0.113.50:123456", "10.1.1.1"),
        ("203.0.113.999:80", "10.1.1.1"),
        ("[203.0.113.50]x", "10.1.1.1"),
        ("fe80::1%eth0", "10.1.1.1"),
        ("203.0.113.50 203.0.113.51", "10.1.1.1"),
        ("\u0662\u0660.1.1.1", "10.1.1.1"),
        ("unknown", "10.1.1.1"),
    ],
)
def test_a_port_after_an_address_is_allowed(hop: str, address: str) -> None:
    assert client_address("10.1.1.1", {b"x-forwarded-for": hop.encode()}, TRUSTED) == address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("for=203.0.113.50", "203.0.113.50"),
        ("For=203.0.113.50;proto=https;host=hooks.example", "203.0.113.50"),
        ("proto=https;by=10.2.2.2;FOR=203.0.113.50", "203.0.113.50"),
        ("by=10.2.2.2; for=203.0.113.50; proto=https", "203.0.113.50"),
        ('for="203.0.113.50:4711"', "203.0.113.50"),
        ("for=203.0.113.50:4711", "203.0.113.50"),
        ('for="[2001:db8:1:2::3]:4711"', "2001:db8:1:2::/64"),
        ('for="[2001:db8:1:2::3]"', "2001:db8:1:2::/64"),
        ('for="2001:db8:1:2::3"', "2001:db8:1:2::/64"),
        ("for=[2001:db8:1:2::3]:4711", "2001:db8:1:2::/64"),
        (r'for="\203.0\.113.50"', "203.0.113.50"),
        ("for=6.6.6.6, for=203.0.113.50, for=10.2.2.2", "203.0.113.50"),
        ("for=6.6.6.6,for=203.0.113.50;by=_x ,\tfor=10.2.2.2;", "203.0.113.50"),
        ('for=203.0.113.50;host="a, for=6.6.6.6"', "203.0.113.50"),
        (r'for=203.0.113.50;host="a, for=\"6.6.6.6"', "203.0.113.50"),
        (r'for=203.0.113.50;host="a\", for=6.6.6.6"', "203.0.113.50"),
        # What a caller puts on the left changes nothing on the right.
        ('for="6.6.6.6, for=203.0.113.50', "203.0.113.50"),
        (r'for="6.6.6.6\, for=203.0.113.50', "203.0.113.50"),
        ("nonsense, for=203.0.113.50", "203.0.113.50"),
        ("x" * 10_000 + ", for=203.0.113.50", "203.0.113.50"),
        (",,, for=203.0.113.50, ,", "203.0.113.50"),
        # A hop that names nobody: what is known ends with the proxy that said so.
        ("for=203.0.113.50, for=unknown", "10.1.1.1"),
        ("for=203.0.113.50, for=unknown, for=10.2.2.2", "10.2.2.2"),
        ("for=203.0.113.50, for=_hidden", "10.1.1.1"),
        ('for=203.0.113.50, for="_hidden:_port"', "10.1.1.1"),
        ("for=203.0.113.50, proto=https", "10.1.1.1"),
        ("for=203.0.113.50, for=10.2.2.2;for=6.6.6.6", "10.1.1.1"),
        ("for=203.0.113.50, for=", "10.1.1.1"),
        ("for=203.0.113.50, for =6.6.6.6", "10.1.1.1"),
        ('for=203.0.113.50, for="6.6.6.6', "10.1.1.1"),
        ('for=203.0.113.50, xfor=6.6.6.6;"', "10.1.1.1"),
        ("for=203.0.113.50, 6.6.6.6", "10.1.1.1"),
        ('for="[2001:db8::1%eth0]"', "10.1.1.1"),
        ("", "10.1.1.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(header: str, address: str) -> None:
    assert client_address("10.1.1.1", {b"forwarded": header.encode()}, TRUSTED) == address
    assert client_address("198.51.100.7", {b"forwarded": header.encode()}, TRUSTED) == "198.51.100.7"


def test_forwarded_is_not_read_beside_x_forwarded_for() -> None:
    """Most proxies write X-Forwarded-For alone and pass on what a caller puts into the other."""
    headers = {b"x-forwarded-for": b"203.0.113.9", b"forwarded": b"for=6.6.6.6"}
    assert client_address("10.1.1.1", headers, TRUSTED) == "203.0.113.9"
    assert client_address("10.1.1.1", {**headers, b"x-forwarded-for": b"nonsense"}, TRUSTED) == "10.1.1.1"


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded"])
@pytest.mark.parametrize(
    "element", [b"10.2.2.2,", b"for=10.2.2.2,", b",", b"for=a;" * 50 + b",", b"x", b'"x",']
)
def test_no_header_takes_long_to_read(name: bytes, element: bytes) -> None:
    header = element * (65_536 // len(element))
    assert client_address("10.1.1.1", {name: header}, TRUSTED) in {"10.1.1.1", "10.2.2.2"}


@given(st.text(alphabet='for=by;,"\\ :[]10.26\t_', max_size=80))
def test_no_forwarded_header_breaks_the_parser_or_hides_what_follows(header: str) -> None:
    for text in (header, f"{header}, for=203.0.113.50"):
        seen = client_address("10.1.1.1", {b"forwarded": text.encode()}, TRUSTED)
    assert seen == "203.0.113.50"


def test_without_trusted_proxies_the_header_is_nothing() -> None:
    assert client_address("10.1.1.1", {b"x-forwarded-for": b"203.0.113.9"}, ()) == "10.1.1.1"


def test_wrong_proxy_is_named() -> None:
    with pytest.raises(SettingsError, match=r"WEBHOOKD_TRUSTED_PROXIES.*10\.0\.0\.300"):
        parse_proxies(["10.0.0.300"])
