"""The egress rules: which URLs pass the door, which addresses may be dialled."""

import ipaddress
import string

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhookd.core.egress import EgressPolicy, address_allowed, check_url, relay_allowed
from webhookd.core.errors import SettingsError, UrlNotAllowed

NOTHING = EgressPolicy()
DEV = EgressPolicy.parse("127.0.0.0/8,::1/128")


def dialled(address: str, policy: EgressPolicy = NOTHING, **url: object) -> bool:
    parts = {"host": "hooks.partner.example", "port": 443, "scheme": "https"} | url
    return address_allowed(address, policy=policy, **parts)  # type: ignore[arg-type]  # a test's shorthand


def refused(url: str, policy: EgressPolicy = NOTHING) -> bool:
    try:
        check_url(url, policy)
    except UrlNotAllowed:
        return True
    return False


# --- at the door: what passes, and in which form ---------------------------------------------------


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://partner.example/hooks", "https://partner.example/hooks"),
        ("https://partner.example", "https://partner.example/"),
        ("https://partner.example?a=1", "https://partner.example/?a=1"),
        ("HTTPS://Partner.Example/Hooks", "https://partner.example/Hooks"),
        ("https://partner.example:443/h", "https://partner.example/h"),
        ("https://partner.example:00443/h", "https://partner.example/h"),
        ("https://partner.example:8443/h", "https://partner.example:8443/h"),
        ("https://partner.example./h", "https://partner.example/h"),
        ("https://my_app.partner.example/h", "https://my_app.partner.example/h"),
        ("https://r3---sn-abc.partner.example/", "https://r3---sn-abc.partner.example/"),
        ("https://bücher.example/ä?q=ö", "https://xn--bcher-kva.example/%C3%A4?q=%C3%B6"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://ｐartner。example/", "https://partner.example/"),  # noqa: RUF001  # full-width p and dot
        ("https://partner.example/a%2Fb?x=%20&y=[1]|'", "https://partner.example/a%2Fb?x=%20&y=[1]|%27"),
        ('https://partner.example/"<>`{}', "https://partner.example/%22%3C%3E%60%7B%7D"),
        ("https://partner.example/a/./b/../c", "https://partner.example/a/c"),
        ("https://partner.example/../../a/..", "https://partner.example/"),
        ("https://partner.example/a/.", "https://partner.example/a/"),
        ("https://partner.example/a//b/", "https://partner.example/a//b/"),
        ("https://partner.example/?", "https://partner.example/?"),
        ("https://1.1.1.1/h", "https://1.1.1.1/h"),
        ("https://1.1.1.1./h", "https://1.1.1.1/h"),
        ("https://[2606:4700:0:0::1111]/h", "https://[2606:4700::1111]/h"),
        ("https://[2606:4700::1111]:8443/h", "https://[2606:4700::1111]:8443/h"),
        ("https://[::ffff:1.1.1.1]/h", "https://1.1.1.1/h"),
    ],
)
def test_url_that_passes_is_stored_in_canonical_form(url: str, canonical: str) -> None:
    assert check_url(url, NOTHING).url == canonical


def test_parts_of_a_checked_url() -> None:
    name = check_url("https://Partner.example:8443/hooks?a=1", NOTHING)
    assert (name.scheme, name.host, name.port, name.origin, name.is_literal) == (
        "https",
        "partner.example",
        8443,
        "https://partner.example:8443",
        False,
    )
    literal = check_url("https://[2606:4700::1111]/hooks", NOTHING)
    assert (literal.host, literal.port, literal.origin, literal.is_literal) == (
        "2606:4700::1111",
        443,
        "https://[2606:4700::1111]",
        True,
    )


# --- at the door: what does not --------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks",
        "/hooks",
        "//partner.example/hooks",
        "file:///etc/passwd",
        "gopher://partner.example/",
        "ftp://partner.example/",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "unix:///var/run/docker.sock",
        "javascript:alert(1)",
        "data:text/html,x",
        "httpſ://partner.example/",  # noqa: RUF001  # U+017F folds to "s" in a careless case-insensitive match
        "https:/partner.example/",
        "https:partner.example",
        "https:///hooks",
        "https://:443/",
        "https://?x",
        "http://partner.example/",
        "http://partner.example:443/",
        "https://partner.example:80/",
        "https://partner.example:8080/",
        "https://partner.example:22/",
        "https://1.1.1.1:25/",
        "http://1.1.1.1/",
    ],
)
def test_only_https_on_the_two_ports_is_called(url: str) -> None:
    assert refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://u:p@ok.example/",
        "https://u@ok.example/",
        "https://@ok.example/",
        "https://ok.example@169.254.169.254/",
        "https://ok.example:443@169.254.169.254/",
        "https://169.254.169.254#@ok.example/",
        "https://ok.example/#fragment",
        "https://ok.example/#",
        "https://169.254.169.254\\@ok.example/",
        "https://ok.example\\@169.254.169.254/",
        "https:\\\\ok.example/",
        "https://ok.example/a\\b",
        "https://ok.example\t/",
        "\thttps://ok.example/",
        "https://ok.example/\n",
        "https://ok.example/\r\nX-Injected: 1",
        "https://ok.example/\x00",
        "https://ok.example/\x7f",
        "https://ok.example/\x85",
        "https://ok.example/ x",
        "https://ok.example/\u2028",
        "https://ok.example/\u3000",
        "https://ok .example/",
        "https://ok.example%00.evil.example/",
        "https://127%2e0%2e0%2e1/",
        "https://%6f%6b.example/",
        "https://ok%252eexample/",
        "https://ok.example/\ud800",
        "https://ok.example:/",
        "https://ok.example:99999/",
        "https://ok.example:65536/",
        "https://ok.example:0/",
        "https://ok.example:-1/",
        "https://ok.example:+80/",
        "https://ok.example:8_0/",
        "https://ok.example:80 /",
        "https://ok.example:000443/",
        "https://ok.example:٤٤٣/",
        "https://ok.example:443:443/",
        "https://ok.example:443a/",
        "https://[::1]foo/",
        "https://[::1/",
        "https://::1/",
        "https://[]/",
        "https://[1.1.1.1]/",
        "https://[2606:4700::1111]x:443/",
        "https://x[2606:4700::1111]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[2606:4700::1111%25eth0]/",
        "https://[2606:4700:::1111]/",
        "https://ok..example/",
        "https://.ok.example/",
        "https://ok.example../",
        "https://-ok.example/",
        "https://ok-.example/",
        "https://ok.example,evil.example/",
        "https://ok.example;evil/",
        "https://ok!.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "https://xn--zzzzzz99.example/",
        "https://xn--a.example/",
        "https://☃.example/",
        "https://ok．％.example/",  # noqa: RUF001  # full-width dot and percent sign
    ],
)
def test_urls_two_parsers_could_read_differently_are_refused(url: str) -> None:
    assert refused(url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0.1..",
        "１２７.０.０.１",  # noqa: RUF001  # full-width digits
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "0",
        "0.0.0.0",
        "1.2.3.4.5",
        "1.2.3",
        "256.1.1.1",
        "partner.0x",
        "partner.123",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
    ],
)
def test_loopback_in_disguise_is_refused(host: str) -> None:
    assert refused(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "app.localhost",
        "redis",
        "printer.local",
        "vault.internal",
        "metadata.google.internal",
        "Vault.INTERNAL.",
    ],
)
def test_names_that_mean_the_local_network_are_refused(host: str) -> None:
    assert refused(f"https://{host}/")


def test_overlong_urls_are_refused_before_and_after_encoding() -> None:
    assert not refused("https://ok.example/" + "a" * (2048 - 19))
    assert refused("https://ok.example/" + "a" * (2048 - 18))
    assert refused("https://ok.example/" + "ä" * 1000)


def test_the_refusal_says_what_to_change_and_never_repeats_the_url() -> None:
    with pytest.raises(UrlNotAllowed) as port:
        check_url("https://ok.example:8080/", NOTHING)
    assert port.value.detail == "The port must be 443 or 8443."
    with pytest.raises(UrlNotAllowed) as userinfo:
        check_url("https://user:hunter2@ok.example/", NOTHING)
    assert "hunter2" not in userinfo.value.detail
    with pytest.raises(UrlNotAllowed) as metadata:
        check_url("http://169.254.169.254/latest/meta-data/", NOTHING)
    assert metadata.value.detail == "The address is not a public one, so it cannot be called."


# --- addresses ------------------------------------------------------------------------------------

DENIED_IPV4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
DENIED_IPV6 = [
    "::/128",
    "::1/128",
    "::/96",  # IPv4-compatible
    "64:ff9b::/96",  # NAT64
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",  # Teredo and its neighbours
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",
    "3fff::/20",
    "4000::/16",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]


@pytest.mark.parametrize("text", DENIED_IPV4)
def test_special_ipv4_ranges_are_denied_from_first_to_last_address(text: str) -> None:
    network = ipaddress.IPv4Network(text)
    for address in (network[0], network[-1]):
        assert not dialled(str(address))
        assert not dialled(f"::ffff:{address}"), "mapped"
        assert not dialled(f"::{address}"), "compatible"
        assert not dialled(f"64:ff9b::{address}"), "NAT64"
        assert not dialled(f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1"), "6to4"
        assert refused(f"https://{address}/")
        assert refused(f"https://[::ffff:{address}]/")


@pytest.mark.parametrize("text", DENIED_IPV6)
def test_special_ipv6_ranges_are_denied_from_first_to_last_address(text: str) -> None:
    network = ipaddress.IPv6Network(text)
    for address in (network[0], network[-1]):
        assert not dialled(str(address))
        assert refused(f"https://[{address}]/")


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:4860:4860::8888",
        "2001:db9::",
        "2003::1",
        "2620:4f:8001::",
        "3fff:1000::",
        "::ffff:1.1.1.1",
    ],
)
def test_neighbours_of_the_special_ranges_are_public(address: str) -> None:
    assert dialled(address)


@pytest.mark.parametrize(
    "address", ["fe80::1%eth0", "2606:4700::1%1", "1.1.1.1%1", "localhost", "", "1.1.1", "0x1010101", "::1]"]
)
def test_scope_ids_and_things_that_are_no_address_are_denied(address: str) -> None:
    assert not dialled(address)
    assert not dialled(address, EgressPolicy.parse("fe80::/10,0.0.0.0/0"))


@given(st.ip_addresses(v=4))
def test_mapped_addresses_get_the_verdict_of_the_address_inside(address: ipaddress.IPv4Address) -> None:
    assert dialled(f"::ffff:{address}") == dialled(str(address))


@given(st.ip_addresses())
@example(ipaddress.ip_address("192.88.99.1"))
def test_nothing_the_standard_library_calls_private_is_ever_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
        assert mapped or not dialled(str(address))


def test_a_public_address_is_still_dialled_only_over_https_and_the_two_ports() -> None:
    assert dialled("1.1.1.1", port=8443)
    assert not dialled("1.1.1.1", port=8080)
    assert not dialled("1.1.1.1", scheme="http")
    assert not dialled("1.1.1.1", scheme="http", port=80)


# --- the operator's exceptions --------------------------------------------------------------------


def test_network_entry_lets_addresses_and_names_through_over_http_too() -> None:
    policy = EgressPolicy.parse(" 10.1.0.0/16 , [fd00::/8]:8080 ,")
    assert check_url("http://10.1.2.3:9000/h", policy).url == "http://10.1.2.3:9000/h"
    assert check_url("http://[::ffff:10.1.2.3]:9000/h", policy).host == "10.1.2.3"
    assert check_url("http://[fd00::1]:8080/h", policy).origin == "http://[fd00::1]:8080"
    assert refused("http://[fd00::1]:8081/h", policy)
    assert refused("http://10.2.2.3/h", policy)
    assert dialled("10.1.2.3", policy, scheme="http", port=80)
    assert dialled("::ffff:10.1.2.3", policy, scheme="http", port=80)
    assert not dialled("10.2.2.3", policy)
    assert dialled("fd00::1", policy, scheme="http", port=8080)
    assert not dialled("fd00::1", policy)


def test_name_over_http_passes_the_door_where_a_network_could_cover_it_and_dialling_decides() -> None:
    policy = EgressPolicy.parse("10.0.0.0/8:8080")
    url = check_url("http://hooks.partner.example:8080/", policy)
    assert dialled("10.1.1.1", policy, scheme=url.scheme, port=url.port)
    assert not dialled("1.1.1.1", policy, scheme=url.scheme, port=url.port)
    assert refused("http://hooks.partner.example:8081/", policy)
    assert refused("http://hooks.partner.example/", policy)
    assert not refused("https://hooks.partner.example/", policy)


def test_name_entry_lets_through_whatever_it_resolves_to() -> None:
    policy = EgressPolicy.parse("hooks.internal:9000,*.corp.example,Bücher.example.")
    assert check_url("http://hooks.internal:9000/", policy).origin == "http://hooks.internal:9000"
    assert refused("http://hooks.internal:9001/", policy)
    assert refused("http://other.internal:9000/", policy)
    assert not refused("http://a.b.corp.example:1234/", policy)
    assert not refused("http://xn--bcher-kva.example/", policy)
    assert refused("http://corp.example/", policy), "the star needs a label"
    assert refused("http://evilcorp.example/", policy)
    assert dialled("10.0.0.1", policy, host="hooks.internal", port=9000, scheme="http")
    assert dialled("169.254.169.254", policy, host="a.corp.example", port=80, scheme="http")
    assert not dialled("10.0.0.1", policy, host="hooks.internal", port=9001, scheme="http")
    assert not dialled("fe80::1%eth0", policy, host="a.corp.example")


def test_dev_mode_lets_localhost_through_by_name_and_by_address() -> None:
    for url in (
        "http://localhost:9000/h",
        "https://localhost/h",
        "http://127.0.0.1:9000/",
        "http://[::1]:1/",
    ):
        assert not refused(url, DEV)
    assert dialled("127.0.0.1", DEV, host="localhost", port=9000, scheme="http")
    assert dialled("::1", DEV, host="localhost", port=9000, scheme="http")
    for url in ("http://redis:6379/", "http://app.localhost/", "http://printer.local/", "http://10.0.0.1/"):
        assert refused(url, DEV)
    assert refused("http://localhost:9000/", EgressPolicy.parse("127.0.0.0/8:9001"))
    assert not refused("http://localhost:9000/", EgressPolicy.parse("[::1]:9000"))
    assert not refused("http://redis:6379/", EgressPolicy.parse("redis"))


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 80),
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("10.0.0.0/8:8080", "10.9.9.9", 8080),
        ("::1", "::1", 80),
        ("fd00::/8", "fd12::1", 80),
        ("fd00::/8:8080", "fd12::1", 8080),
        ("[::1]:9000", "::1", 9000),
        ("[fd00::/8]", "fd12::1", 80),
        ("0.0.0.0/0,::/0", "10.0.0.1", 80),
        ("0.0.0.0/0,::/0", "fd00::1", 80),
    ],
)
def test_ways_to_write_a_network(text: str, address: str, port: int) -> None:
    assert dialled(address, EgressPolicy.parse(text), scheme="http", port=port)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("fd00::1/8", "write fd00::/8"),
        ("10.0.0.0/33", "not a network"),
        ("10.0.0", "not a network"),
        ("10.0.0.0/8:0", "port"),
        ("10.0.0.0/8:", "port"),
        ("10.0.0.1:99999", "port"),
        ("hooks.internal:http", "port"),
        ("[::1", "[fd00::/8]:8080"),
        ("[::1]:", "port"),
        ("::ffff:10.0.0.0/104", "IPv4 network"),
        ("*", "*.corp.example"),
        ("hooks-*.internal", "*.corp.example"),
        ("*.*.internal", "*.corp.example"),
        ("http://hooks.internal", "without http://"),
        ("hooks_internal!", "domain name"),
        ("0x7f.1", "IP address"),
        ("☃.internal", "internationalised"),
    ],
)
def test_wrong_entry_is_refused_with_the_setting_and_the_fix(text: str, hint: str) -> None:
    with pytest.raises(SettingsError) as fault:
        EgressPolicy.parse(f"10.0.0.0/8,{text}")
    assert "WEBHOOKD_EGRESS_ALLOW" in fault.value.detail
    assert repr(text) in fault.value.detail
    assert hint in fault.value.detail


def test_no_setting_lets_nothing_through() -> None:
    assert EgressPolicy.parse("") == NOTHING
    assert EgressPolicy.parse(" , ") == NOTHING


# --- through an egress proxy ----------------------------------------------------------------------


def test_proxy_is_asked_only_for_what_can_be_judged_without_resolving() -> None:
    policy = EgressPolicy.parse("10.0.0.0/8,127.0.0.0/8,hooks.internal")

    def relayed(url: str) -> bool:
        return relay_allowed(check_url(url, policy), policy)

    assert relayed("https://partner.example/")
    assert relayed("https://partner.example:8443/")
    assert relayed("https://1.1.1.1/")
    assert relayed("http://10.0.0.1/")
    assert relayed("http://hooks.internal/")
    assert not relayed("http://partner.example/"), "it would have to resolve into 10.0.0.0/8"
    assert not relayed("https://partner.example:9000/")
    assert not relayed("https://localhost/")
    assert not relay_allowed(check_url("http://10.0.0.1/", policy), NOTHING)


# --- properties -----------------------------------------------------------------------------------

PATH = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=60)


@given(path=PATH, query=st.none() | PATH)
@example(path="/a%2e/%zz/..", query="'[]|^`{}")
@example(path="/%", query="%")
def test_canonical_form_is_stable_and_read_alike_by_the_http_library(path: str, query: str | None) -> None:
    url = "https://partner.example/" + path.replace("#", "").replace("?", "").replace("\\", "")
    if query is not None:
        url += "?" + query.replace("#", "").replace("\\", "")
    once = check_url(url, NOTHING)
    assert check_url(once.url, NOTHING) == once
    parsed = httpx.URL(once.url)
    assert str(parsed) == once.url
    assert "https://partner.example" + parsed.raw_path.decode("ascii") == once.url


@given(st.text(alphabet=string.printable + "。．ſ①％é\u200d\ud800", max_size=40))  # noqa: RUF001
@example("https://[::1]foo")
def test_any_text_is_either_refused_or_has_a_host_the_http_library_agrees_on(text: str) -> None:
    for url in (text, "https://" + text):
        try:
            checked = check_url(url, DEV)
        except UrlNotAllowed:
            continue
        parsed = httpx.URL(checked.url)
        assert parsed.host == checked.host or checked.host.startswith("xn--") or ".xn--" in checked.host
        assert (parsed.port or {"https": 443, "http": 80}[checked.scheme]) == checked.port
        assert not parsed.userinfo


@given(st.text(alphabet="0123456789abcdefx.:[]/*-_%,é ", max_size=30))
def test_any_setting_is_either_read_or_refused_as_a_setting(text: str) -> None:
    complaint = None
    try:
        EgressPolicy.parse(text)
    except SettingsError as fault:
        complaint = fault.detail
    assert complaint is None or "WEBHOOKD_EGRESS_ALLOW" in complaint
