"""Settings, read once at the door from the environment and `.env`.

Everything below `wiring` gets policies and values, never this object. docs/reference/settings.md is
generated from the descriptions here, and a test fails on a setting it does not list. A wrong value
stops the start with one line that names the setting and the fix.
"""

import contextlib
import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from webhookd.core.complaints import complaint
from webhookd.core.errors import SettingsError
from webhookd.core.run_folder import MAX_FILE_BYTES

# The upper bounds are a matter of arithmetic: milliseconds and dates are made of these.
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]
# Up to what one partner may be given through the API; JSON and `RateLimit` could not tell much larger ones.
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Burst = Annotated[int, Field(ge=1, le=10_000_000)]
Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]


MAX_PORT: Final = 65_535
_PUBLIC_URL: Final = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?(?:/[!$-;=@-\[\]-~]*)?"
)


def _default_data_dir() -> Path:
    return Path(".webhookd")


class Settings(BaseSettings):
    """All settings. Build with `load_settings`, which turns mistakes into SettingsError."""

    model_config = SettingsConfigDict(
        env_prefix="WEBHOOKD_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Where the single-machine mode keeps its database, broker files and keys.",
    )
    database_url: str = Field(
        "",
        description="`sqlite:////absolute/path.db` or `postgresql://user:password@host/name`. "
        "Empty: SQLite in the data dir.",
    )
    broker_url: str = Field(
        "",
        description="`redis://`, `rediss://` or `unix://` URL of Redis or Valkey. Empty: an embedded Valkey.",
    )
    files_url: str = Field(
        "",
        description="Where the bytes of files are: `file:///absolute/folder`, `s3://bucket/prefix`, "
        "`gs://bucket/prefix` or `az://container/prefix`; keys and endpoint come from the provider's own "
        "variables, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`. Empty: the folder `files` in the "
        "data dir, which is right where everything runs on one machine.",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8080, ge=0, le=MAX_PORT, description="Port the API listens on; 0 picks a free one.")
    public_url: str = Field(
        "",
        description="Scheme, host and path prefix partners reach the API by, such as "
        "`https://example.com/hooks`. `Location`, the links in answers and webhooks and the OpenAPI "
        "description are made with it, and with nothing else: no header of a request changes them. "
        "Empty: they are paths.",
    )
    portal_frame_ancestors: str = Field(
        "",
        description="Origins whose pages may show `/portal/` in a frame, separated by spaces, such as "
        "`https://app.example.com`. They must be of the same site as the service, since its cookies are "
        "`SameSite=Strict`. Empty: none.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins whose pages may call the API from a browser, such as "
        "`https://app.example.com`; `*` for any. Empty: none. Pages get tokens (`POST /v1/tokens`), no keys.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks of proxies. Of a request that comes from one of "
        "them `X-Forwarded-For` names the client or, only where that is missing, `Forwarded` (RFC 7239), "
        "read from the right, past every address that is trusted too. A port after an address is allowed. "
        "No other header is read.",
    )
    admin_key: str = Field(
        "", description="Fixes the admin key. Empty: `up` makes one at first start and prints it once."
    )
    encryption_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated base64 keys of 32 bytes that seal secrets at rest, newest first. "
        "Empty: `up` makes one and keeps it in the data dir.",
    )
    tasks: str = Field(
        "webhookd.samples:tasks",
        description="Comma-separated `module:attribute` of the task sets to run. For partners of your own "
        "name your modules, alone or with `webhookd.samples:work`: the samples without `demo.*`.",
    )

    egress_allow: str = Field(
        "",
        description="Comma-separated CIDR, CIDR:port or host name pattern that callbacks may go to although "
        "the address rules deny it; without a port every port, and plain `http` too.",
    )
    egress_proxy: str = Field("", description="`http://host:port` of a proxy all deliveries go through.")

    retry_base_seconds: Seconds = Field(5.0, description="First pause between delivery attempts.")
    retry_factor: float = Field(
        4.0, ge=1, le=1_000, allow_inf_nan=False, description="Each pause is this times the last."
    )
    retry_cap_seconds: Seconds = Field(43_200.0, description="Longest pause between delivery attempts.")
    retry_max_attempts: int = Field(14, ge=1, le=1000, description="Attempts before a delivery is dead.")
    delivery_timeout_seconds: Seconds = Field(
        15.0, description="Deadline of one attempt, from the name look-up to the end of the response headers."
    )
    delivery_connections: int = Field(
        512, ge=1, le=20_000, description="Attempts one deliver process makes at a time."
    )
    delivery_per_host: int = Field(
        128, ge=1, le=20_000, description="Attempts one deliver process makes to one host at a time."
    )
    delivery_host_rate: float = Field(
        500.0,
        ge=1,
        le=1_000_000,
        allow_inf_nan=False,
        description="Attempts a second to one host, over all partners; deliver processes share it evenly.",
    )
    failing_after_seconds: Seconds = Field(
        3_600.0,
        description="Of an endpoint that failed for this long without one success the partner's others that "
        "name `endpoint.failing` are told.",
    )
    disable_after_seconds: Seconds = Field(
        432_000.0, description="An endpoint that failed for this long without one success is disabled."
    )

    max_queued: Rows = Field(1_000_000, description="Waiting tasks of the whole service before 503.")
    partner_max_queued: Rows = Field(100_000, description="Waiting tasks of one partner before 429.")
    partner_max_idempotency_keys: Rows = Field(
        5_000_000, description="Idempotency keys of one partner in memory before 429."
    )
    partner_rate: Rate = Field(
        1_000.0,
        description="Tasks per second one partner may submit, over all API processes (each by itself while "
        "the broker is away).",
    )
    partner_burst: Burst = Field(5_000, description="Tasks one partner may submit at once.")
    partner_write_rate: Rate = Field(
        50.0,
        description="Calls per second of one partner that change something and submit no task.",
    )
    partner_write_burst: Burst = Field(500, description="Such calls one partner may make at once.")
    max_input_bytes: int = Field(
        262_144, ge=1_024, le=8_388_608, description="Largest body of a single submission, in bytes."
    )
    max_result_bytes: int = Field(
        262_144,
        ge=1,
        le=8_388_608,
        description="Largest result of a task, in bytes of JSON; with a larger one it fails with "
        "`result_too_large`.",
    )
    files_max_bytes: int = Field(
        MAX_FILE_BYTES, ge=1, le=1 << 40, description="Largest file, uploaded or attached, in bytes."
    )
    partner_max_file_bytes: int = Field(
        10_737_418_240, ge=0, le=1 << 60, description="Bytes of files one partner may store before 429."
    )
    max_wait_seconds: Seconds = Field(
        45.0,
        description="Longest time a request is held by `wait=` or `Prefer: wait=`; a longer wish is "
        "shortened to it. Keep it below the time-outs of the proxies on the way: many give up at 50 or 60.",
    )
    min_free_disk_bytes: int = Field(
        268_435_456,
        ge=0,
        le=1 << 60,
        description="Free space in the data dir below which submissions get 503.",
    )

    lease_seconds: Seconds = Field(
        15.0,
        description="How long a silent worker keeps its tasks and deliveries before others take them over. "
        "On PostgreSQL a transaction that stands still for so long is undone.",
    )
    shutdown_seconds: Seconds = Field(
        20.0, description="How long running work may take to end after SIGTERM."
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="How long after SIGTERM the API serves on, its `/readyz` 503, before it closes its "
        "listener: as long as a balancer takes to notice. A second SIGTERM skips the rest.",
    )
    sweep_seconds: Seconds = Field(
        1.0,
        description="Pause between two sweeps for lost wakes and due schedules; 5 s or more at rest.",
    )
    worker_threads: int = Field(8, ge=1, le=1_000, description="Tasks one worker process runs at a time.")

    retention_tasks_days: Days | None = Field(
        None,
        description="Ended tasks with their messages and deliveries are deleted after this. Empty: kept.",
    )
    retention_attempts_days: Days | None = Field(
        None, description="Attempt logs of ended deliveries are deleted after this. Empty: kept."
    )
    retention_dead_letters_days: Days | None = Field(
        None, description="Dead letters nobody acted on are deleted after this. Empty: kept."
    )
    retention_audit_days: Days | None = Field(
        None, description="Audit entries are deleted after this. Empty: kept."
    )
    retention_replays_days: Days | None = Field(
        None, description="Replays that are over are deleted this long after their beginning. Empty: kept."
    )
    retention_files_days: Days | None = Field(
        None,
        description="Files are deleted this long after they were made, unless a task that has not ended "
        "needs them. Empty: they go with the tasks they belong to.",
    )
    idempotency_hours: float = Field(
        24.0,
        gt=0,
        le=876_000,
        allow_inf_nan=False,
        description="How long an `Idempotency-Key` is remembered.",
    )

    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    otel_endpoint: str = Field(
        "",
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_ENDPOINT", "otel_endpoint"),
        description="Base URL of the OTLP/HTTP endpoint that traces are sent to, `http://collector:4318` "
        "(needs the `otel` extra; see [trace](../how-to/trace.md)). Empty: none.",
    )

    @field_validator("trusted_proxies", "cors_origins", "encryption_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator(
        "retention_tasks_days",
        "retention_attempts_days",
        "retention_dead_letters_days",
        "retention_audit_days",
        "retention_replays_days",
        "retention_files_days",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("data_dir", mode="before")
    @classmethod
    def _some_folder(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise ValueError("must name a folder; leave it out for .webhookd")
        return value

    @field_validator("data_dir")
    @classmethod
    def _name_of_a_folder(cls, value: Path) -> Path:
        try:
            text = str(value.absolute())
            text.encode()
        except OSError as error:
            raise ValueError(f"cannot be found from the working directory ({error.strerror})") from None
        except UnicodeEncodeError:
            raise ValueError(
                "is a path whose name is not UTF-8, which the database cannot open; choose another"
            ) from None
        if "\0" in text:
            raise ValueError("is no path: it has a NUL")
        return value

    @field_validator("host")
    @classmethod
    def _an_address(cls, value: str) -> str:
        wrong = not value.isascii() or not value.isprintable() or set(value) & set(" []/@")
        if not value or wrong or value.count(":") == 1:
            raise ValueError("must be an address or a host name, IPv6 without brackets")
        return value

    @field_validator("otel_endpoint")
    @classmethod
    def _otlp_over_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https:// (OTLP over HTTP, most often port 4318)")
        return value

    @field_validator("portal_frame_ancestors")
    @classmethod
    def _origins(cls, value: str) -> str:
        if not all(re.fullmatch(r"https?://[A-Za-z0-9.*-]+(?::[0-9]{1,5})?", one) for one in value.split()):
            raise ValueError("must be origins such as https://app.example.com, separated by spaces")
        return " ".join(value.split())

    @field_validator("cors_origins")
    @classmethod
    def _cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[a-z0-9.-]+(?::[0-9]{1,5})?", one):
                raise ValueError("must be origins such as https://app.example.com, separated by commas")
        return value

    @field_validator("public_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        shape = _PUBLIC_URL.fullmatch(value)
        if value and (shape is None or int(shape[1] or 0) > MAX_PORT):
            raise ValueError(
                "must be http:// or https://, a host, and perhaps a path, with nothing after it, in ASCII "
                "(xn--… for other hosts)"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.retry_cap_seconds < self.retry_base_seconds:
            raise ValueError("WEBHOOKD_RETRY_CAP_SECONDS is less than WEBHOOKD_RETRY_BASE_SECONDS")
        return self

    @property
    def resolved_database_url(self) -> str:
        """The database URL, or SQLite in the data dir."""
        # In a URL a path has its own spelling: %2F, ? and # in a folder's name would mean something else.
        return self.database_url or f"sqlite:///{quote(str(self.data_dir.absolute() / 'webhookd.db'))}"

    @property
    def resolved_files_url(self) -> str:
        """The URL of the files' place, or a folder in the data dir."""
        return self.files_url or f"file://{quote(str(self.data_dir.absolute() / 'files'))}"

    @property
    def local_host(self) -> str:
        """The address of the API for callers on this machine."""
        try:
            every = ip_address(self.host).is_unspecified
        except ValueError:  # a name
            return self.host
        return self.host if not every else "::1" if ":" in self.host else "127.0.0.1"


_NEVER_REPEATED: Final = ("_URL", "_KEY", "_KEYS", "_PROXY", "_ENDPOINT")


def environment_name(field: str) -> str:
    """Return the environment variable of a field of Settings."""
    return "OTEL_EXPORTER_OTLP_ENDPOINT" if field == "otel_endpoint" else f"WEBHOOKD_{field.upper()}"


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` (command line options) win. Raises SettingsError in one line."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # names checked by pydantic
    except ValidationError as error:
        first = error.errors()[0]
        place = str(first["loc"][0]) if first["loc"] else ""
        message = complaint(first)
        if not place:
            raise SettingsError(f"{message}.") from None
        name = place if place.isupper() else environment_name(place)
        # A URL may hold a password, and a key is one.
        shown = "" if name.endswith(_NEVER_REPEATED) else f"={first['input']!s:.80}"
        raise SettingsError(f"{name}{shown} is wrong: {message}.") from None
    except UnicodeError:
        raise SettingsError("The file .env is not UTF-8: save it as UTF-8, or remove it.") from None
    except OSError as error:
        raise SettingsError(f"The file .env cannot be read ({error.strerror}).") from None


def unknown_names() -> list[str]:
    """Return variables, of the environment and of `.env`, that look like settings and are none."""
    # The last names belong to the shell commands, to the tests and to failpoints.
    known = {*Settings.model_fields, "url", "key", "test_postgres_url", "failpoint"}
    given = set(os.environ)
    with contextlib.suppress(OSError, ValueError):  # what is wrong with the file is said where it is read
        given |= dotenv_values(str(Settings.model_config["env_file"])).keys()
    return sorted(
        name
        for name in given
        if name.startswith("WEBHOOKD_") and name.removeprefix("WEBHOOKD_").lower() not in known
    )
