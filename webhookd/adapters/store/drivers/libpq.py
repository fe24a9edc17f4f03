"""The parameters of a `postgresql://` URL, as libpq has them and managed services hand them out.

What asyncpg knows it is given in a DSN of its own, which SQLAlchemy passes on untouched; what it cannot do
is refused in one line, never ignored where ignoring it would be less safe than was asked for.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from sqlalchemy.engine import URL

from webhookd.core.errors import SettingsError

_CONNECT_SECONDS: Final = 5.0

_HOST_LIST: Final = re.compile(r"(postgres(?:ql)?://)([^@]*@)?([^@/?]*,[^@/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
_PLACE: Final = re.compile(r"(?:\[([^]]+)\]|([^:\[\],]+))(?::([0-9]{1,5}))?")

_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
_PLACES: Final = ("host", "port", "user", "password", "dbname")
_OTHERS: Final = ("sslpassword", "krbsrvname", "application_name", "options", "connect_timeout")
_KNOWN: Final = (*_PLACES, *_CHOICES, *_FILES, *_OTHERS)
_DROPPED: Final = frozenset({"channel_binding", "gssencmode"})  # what is left of them asks for nothing
_WHY_NOT: Final = {
    "channel_binding": "the driver has no channel binding; leave it out and let sslmode=verify-full see to "
    "the server",
    "gssencmode": "the driver has no GSSAPI encryption; use sslmode",
}


def with_parameters(url: URL) -> URL:
    """Return the URL as the driver takes it. Raises SettingsError naming WEBHOOKD_DATABASE_URL."""
    given = {
        "sslmode" if name == "ssl" else name: value if isinstance(value, str) else ",".join(value)
        for name, value in url.query.items()
    }
    for name, value in given.items():
        _check(name, value)
    query = _hosts(url, given)
    if seconds := given.pop("connect_timeout", ""):
        query["timeout"] = seconds
    if given.get("sslrootcert") == "system":
        given["sslrootcert"] = ssl.get_default_verify_paths().cafile or "system"
    for name in _FILES:
        if name in given and not Path(given[name]).is_file():
            raise _wrong(f"{name}: there is no file {given[name]}")
    for name in ("sslrootcert", "sslcrl"):
        if name in given:
            _check_certificates(name, given[name])
    url = url.set(
        username=given.pop("user", url.username),
        password=given.pop("password", url.password),
        database=given.pop("dbname", url.database),
    )
    kept = {name: value for name, value in given.items() if name not in _DROPPED}
    if kept:
        query["dsn"] = f"postgresql://?{urlencode(kept)}"
    return url.set(query=query)


def hosts_apart(text: str) -> str:
    """Move a list of hosts (`//user@one:5432,two:5433/name`), which no URL has, into the parameters."""
    found = _HOST_LIST.fullmatch(text)
    if found is None:
        return text
    scheme, login, hosts, path, query = found.groups()
    places = [_PLACE.fullmatch(one) for one in hosts.split(",")]
    if not all(places):
        raise _wrong("a list of hosts looks like one:5432,two:5432")
    names = ",".join(place[1] or place[2] for place in places if place)
    ports = ",".join(place[3] or "5432" for place in places if place)
    listed = urlencode({"host": names, "port": ports})
    return f"{scheme}{login or ''}{path or '/'}?{listed}{'&' + query[1:] if query else ''}"


def connect_seconds(url: URL) -> float:
    """Return how long a connection may take to come about; `connect_timeout` says otherwise."""
    found = url.query.get("timeout")
    return float(found) if isinstance(found, str) else _CONNECT_SECONDS


def shown(url: URL) -> str:
    """Return a URL as it may be read by anybody: without password and parameters, which may hold one."""
    listed = url.query.get("host", "")  # a list of hosts, which no URL has in its usual place
    host = listed if not url.host and isinstance(listed, str) and not listed.startswith("/") else url.host
    bare = url.set(drivername=url.get_backend_name(), host=host, query={})
    return bare.render_as_string(hide_password=True)


def _check(name: str, value: str) -> None:
    if name not in _KNOWN:
        raise _wrong(f"there is no parameter {name!r:.40}; known are {', '.join(sorted(_KNOWN))}")
    choices = _CHOICES.get(name)
    if choices is not None and value not in choices:
        why = f" ({_WHY_NOT[name]})" if name in _WHY_NOT else ""
        raise _wrong(f"{name} must be one of {', '.join(choices)}{why}")
    if name == "connect_timeout" and not (value.isdecimal() and 0 < int(value) <= 300):
        raise _wrong("connect_timeout must be a number of seconds from 1 to 300")


def _check_certificates(name: str, file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:  # SSLError is one
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise _wrong(f"{name}: {file} cannot be used ({reason})") from None


def _hosts(url: URL, given: dict[str, str]) -> dict[str, str]:
    """Take hosts and ports, of which libpq allows lists, out of the parameters, as SQLAlchemy wants them."""
    hosts = [one for one in given.pop("host", "").split(",") if one]
    ports = [one for one in given.pop("port", "").split(",") if one] or [str(url.port or 5432)]
    if not hosts:
        return {}
    if len(ports) not in {1, len(hosts)} or not all(port.isdecimal() for port in ports):
        raise _wrong("port must be one number, or one for each host")
    each = ports if len(ports) == len(hosts) else ports * len(hosts)
    return {"host": ",".join(hosts), "port": ",".join(each)}


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"WEBHOOKD_DATABASE_URL: {what}.")
