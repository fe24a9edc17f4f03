"""Every setting is checked before anything starts, and what may hold a password is never repeated."""

import re
from pathlib import Path

import pytest

from webhookd.adapters.store.drivers import parse_url, shown
from webhookd.core.errors import SettingsError
from webhookd.settings import Settings, environment_name, load_settings
from webhookd.wiring.checked import checked_settings
from webhookd.wiring.listening import listen
from webhookd.wiring.process import sqlite_path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRONG = {
    "WEBHOOKD_EGRESS_PROXY": (
        "socks5://u:hunter2@127.0.0.1:1080",
        "http://",
        "proxy.internal:3128",
        "http://[",
    ),
    "WEBHOOKD_EGRESS_ALLOW": ("http://10.0.0.1", "10.0.0.1/8", "a*b.example", "10.0.0.0/8:x"),
    "WEBHOOKD_TRUSTED_PROXIES": ("10.0.0.1/8", "proxy.internal"),
    "WEBHOOKD_BROKER_URL": (
        "http://u:hunter2@h",
        "redis//x",
        "redis://:hunter2@h:99999999x/0",
        "rediss://:hunter2@h/0?ssl_min_version=x",
        "redis://:hunter2@h/0?no_such_parameter=1",
        "redis://[::1",
    ),
    "WEBHOOKD_DATABASE_URL": (
        "mysql://u:hunter2@h/db",
        "hunter2",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:hunter2@h:port/db",
        "postgresql://u:hunter2@h/db?sslmode=sometimes",
        "postgresql://u:hunter2@h/db?sslrootcert=/no/such/file.pem",
        "postgresql://u:hunter2@h/db?channel_binding=require",
        "postgresql://u:hunter2@h/db?connect_timeout=soon",
        "postgresql://u:hunter2@h/db?sslpasword=hunter2",
        "postgresql://u:hunter2@one:5432,two:x/db",
        "postgresql://u:hunter2@h/db?host=a,b,c&port=1,2",
    ),
    "WEBHOOKD_ENCRYPTION_KEYS": ("hunter2", "aHVudGVyMg=="),
    "WEBHOOKD_ADMIN_KEY": ("hunter2", "hunter2 hunter2 hunter2 hunter2 hunter2"),
    "WEBHOOKD_PUBLIC_URL": ("ftp://u:hunter2@h", "https://u:hunter2@h", "https://h?x=hunter2"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("grpc://u:hunter2@collector:4317",),
    "WEBHOOKD_HOST": ("", "[::1]", "127.0.0.1:8080", "http://localhost", "a b"),
    "WEBHOOKD_PORT": ("-1", "65536", "http"),
    "WEBHOOKD_PARTNER_RATE": ("nan", "inf", "0"),
    "WEBHOOKD_IDEMPOTENCY_HOURS": ("inf", "1e300"),
    "WEBHOOKD_RETENTION_TASKS_DAYS": ("inf", "1e300", "0"),
    "WEBHOOKD_LEASE_SECONDS": ("nan", "1e300"),
    "WEBHOOKD_RETRY_CAP_SECONDS": ("1",),
    "WEBHOOKD_LOG_FORMAT": ("xml",),
    "WEBHOOKD_DATA_DIR": ("", " "),
    "WEBHOOKD_MIN_FREE_DISK_BYTES": ("-1", "99999999999999999999"),
    "WEBHOOKD_PARTNER_MAX_IDEMPOTENCY_KEYS": ("", "1e3", "5 million", "99999999999999999999"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_wrong_value_stops_every_start_with_one_line_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        checked_settings()
    assert name in refused.value.detail
    assert "\n" not in refused.value.detail
    assert "hunter2" not in refused.value.detail


def test_number_that_answers_could_not_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        if field.annotation not in (int, float):
            continue
        variable = environment_name(name)
        monkeypatch.setenv(variable, "99999999999999999999")
        with pytest.raises(
            SettingsError, match=rf"^{variable}(=9+)? is wrong: must be less than or equal to "
        ):
            load_settings()
        monkeypatch.delenv(variable)


def test_mistake_is_told_in_words_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, told in (
        ("WEBHOOKD_PORT", "http", "must be a whole number"),
        ("WEBHOOKD_PORT", "", "must be a whole number"),
        ("WEBHOOKD_RETRY_FACTOR", "4,5", "must be a number"),
        ("WEBHOOKD_RETRY_FACTOR", "0", "must be greater than or equal to 1"),
        ("WEBHOOKD_LOG_FORMAT", "xml", "must be 'text' or 'json'"),
        ("WEBHOOKD_DATA_DIR", "", "must name a folder; leave it out for .webhookd"),
    ):
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError) as refused:
            load_settings()
        assert refused.value.detail == f"{name}={value} is wrong: {told}."
        monkeypatch.delenv(name)


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1", "no-such-host.invalid"])
def test_address_of_another_machine_is_the_fault_of_the_host(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^WEBHOOKD_HOST: .* with --host or WEBHOOKD_HOST\.$"):
        listen(load_settings(host=host, port=0))


def test_port_that_is_taken_is_the_fault_of_the_port() -> None:
    with listen(load_settings(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=r"^WEBHOOKD_PORT: .* with --port or WEBHOOKD_PORT\.$"):
            listen(load_settings(port=port))


def test_what_ships_and_what_people_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    checked_settings()
    for name, value in {
        "WEBHOOKD_EGRESS_PROXY": "http://user:pass@proxy.internal:3128",
        "WEBHOOKD_BROKER_URL": "rediss://user:pass@cache.example:6380/0?ssl_ca_certs=/etc/ca.pem",
        "WEBHOOKD_DATABASE_URL": "postgresql://u:p@one:5432,two:5433/db?sslmode=require&connect_timeout=10"
        "&application_name=webhookd&options=-c%20statement_timeout%3D60s&target_session_attrs=primary",
        "WEBHOOKD_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "WEBHOOKD_HOST": "::",
    }.items():
        monkeypatch.setenv(name, value)
    checked_settings()


def test_password_of_a_database_is_not_shown_wherever_it_stands(tmp_path: Path) -> None:
    for url in (
        "postgresql://u:hunter2@h/db",
        "postgresql://u@h/db?password=hunter2&sslmode=require",
        "postgresql://u:hunter2@one,two/db?sslpassword=hunter2",
    ):
        assert "hunter2" not in shown(parse_url(url))
    assert shown(parse_url("postgresql://u:p@one,two/db")) == "postgresql://u:***@one,two/db"


def test_hosts_and_parameters_reach_the_driver() -> None:
    for url in (
        "postgresql://u:p,w@one:1,[::2]:2/db?sslmode=require",
        "postgresql://u:p%2Cw@/db?host=one,::2&port=1,2&sslmode=require",
    ):
        parsed = parse_url(url)
        _, arguments = parsed.get_dialect()().create_connect_args(parsed)
        assert arguments["host"] in (("one", "::2"), ["one", "::2"])
        assert tuple(arguments["port"]) == (1, 2)
        assert (arguments["user"], arguments["password"], arguments["database"]) == ("u", "p,w", "db")
        assert arguments["dsn"] == "postgresql://?sslmode=require"


ODD_NAMES = (
    "feature%2Fx",
    "a?b=c",
    "a#b",
    "two  blanks ",
    "new\nline",
    "quo'te\"s",
    "日本",
    "[a]*?",
    "%",
    "a:b@c",
    "~$HOME",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_database_lies_in_the_data_dir_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    settings = load_settings(data_dir=tmp_path / name)
    assert sqlite_path(settings) == tmp_path / name / "webhookd.db"


def test_environment_file_that_is_not_utf8_is_named(elsewhere: Path) -> None:
    (elsewhere / ".env").write_bytes(b"WEBHOOKD_PORT=8081\nNAME=caf\xe9\n")
    with pytest.raises(SettingsError, match=re.escape(".env is not UTF-8")):
        load_settings()


def test_folder_name_that_is_not_utf8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_DATA_DIR", "data-\udce9")
    with pytest.raises(SettingsError, match="WEBHOOKD_DATA_DIR") as refused:
        load_settings()
    refused.value.detail.encode(errors="backslashreplace")
    assert "UTF-8" in refused.value.detail
