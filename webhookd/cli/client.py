"""Calling the API for the commands that do: where it answers, with which key, what its refusals become.

With a key it is the API at WEBHOOKD_URL. Without one it is this machine's own installation, whose API is
run in this process (`own_api`). What the answers look like on a screen is `screen`'s.
"""

import webhookd.runtime.lean_httpx  # noqa: F401 - before httpx

# isort: split
import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlsplit

import httpx

from webhookd.core.errors import FieldError, SettingsError, Unavailable, WebhookdError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
PAGE: Final = 500
"""The longest page the API gives at once."""

THE_RULE: Final = (
    "With WEBHOOKD_KEY set, this calls the API at WEBHOOKD_URL (http://127.0.0.1:8080 if unset). Without a "
    "key it works as the operator of this machine's installation, straight on the database of the settings, "
    "whether or not the service runs."
)
"""For the help of every command family that calls the API."""

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 60.0
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})

Query = Mapping[str, object]


class Refused(WebhookdError):
    """Raised when the API says no: `detail` and `errors` are its own words, `http_status` its status."""

    code, title = "refused", "Refused"

    def __init__(self, detail: str, *, http_status: int, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail, errors=errors)
        self.http_status = http_status


def api_url() -> str:
    """Return where the API answers. Raises SettingsError."""
    url = os.environ.get("WEBHOOKD_URL") or DEFAULT_URL
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:  # not repeated, because it may hold a password
        raise SettingsError(f"WEBHOOKD_URL must look like {DEFAULT_URL}.")
    if parts.username is not None:
        raise SettingsError("WEBHOOKD_URL must have no user or password: the key is WEBHOOKD_KEY.")
    return url


def api_key() -> str:
    """Return the key to call with; empty where there is none. Raises SettingsError.

    WEBHOOKD_ADMIN_KEY is a setting of the server; it is a key of ours only where WEBHOOKD_URL is set too.
    """
    key = os.environ.get("WEBHOOKD_KEY", "")
    if not key and os.environ.get("WEBHOOKD_URL"):
        key = os.environ.get("WEBHOOKD_ADMIN_KEY", "")
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError("WEBHOOKD_KEY must be printable ASCII characters without spaces.")
    return key


@contextlib.contextmanager
def open_api() -> Iterator["Api"]:
    """Open the API this command is meant for. Raises SettingsError."""
    url, key = api_url(), api_key()
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    if key:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False) as http:
            yield Api(http, where=url)
        return
    if urlsplit(url).hostname not in _THIS_MACHINE:
        raise SettingsError(f"WEBHOOKD_KEY is not set; give a key of the service at {url}.")
    from webhookd.cli.own_api import own_api  # a second's worth of imports, not needed with a key

    with (
        own_api() as transport,
        httpx.Client(transport=transport, base_url=DEFAULT_URL, timeout=timeout, trust_env=False) as http,
    ):
        yield Api(http, where="this machine's installation")


def path(*steps: str) -> str:
    """Return `/v1/…` of these steps; what a person typed cannot leave its step."""
    return "/v1/" + "/".join(quote(step, safe="") for step in steps)


class Api:
    """The API with a key."""

    def __init__(self, http: httpx.Client, *, where: str) -> None:
        self._http = http
        self._where = where

    def get(self, path: str, query: Query | None = None, *, wait_seconds: float = 0) -> Any:
        """GET; `wait_seconds` is how much longer than usual the answer may take."""
        return self.call("GET", path, query=query, wait_seconds=wait_seconds)

    def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """POST, without a body where there is none to send."""
        return self.call("POST", path, body=body, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        wait_seconds: float = 0,
    ) -> Any:
        """Return the answer's JSON, None where it has none. Query parameters that are None are left out.

        Raises Refused for every status that is not 2xx, Unavailable where nobody answers.
        """
        with self._reached():
            answer = self._http.request(
                method,
                path,
                params=_given(query),
                json=body,
                headers=headers,
                timeout=httpx.Timeout(_ANSWER_SECONDS + wait_seconds, connect=_CONNECT_SECONDS),
            )
        return self._document(answer)

    def send(self, path: str, query: Query, content: BinaryIO, *, content_type: str) -> Any:
        """POST the bytes of a file as they are read; raises as `call`."""
        headers = {"Content-Type": content_type}
        with self._reached():
            answer = self._http.post(path, params=_given(query), content=content, headers=headers)
        return self._document(answer)

    def fetch(self, path: str, out: BinaryIO) -> None:
        """GET bytes and write them out as they come, from an object store where we are sent on to one."""
        with self._reached(), self._http.stream("GET", path, follow_redirects=True) as answer:
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            out.writelines(answer.iter_bytes())

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise Unavailable(
                f"No webhookd answers at {self._where}; start one with `webhookd up`, or set WEBHOOKD_URL."
            ) from None
        except httpx.TimeoutException:
            raise Unavailable(f"The webhookd at {self._where} did not answer in time.") from None
        except httpx.TransportError as error:
            raise Unavailable(f"The connection to {self._where} broke: {error}.") from None

    def _document(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise self._refusal(answer)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._not_ours(answer) from None

    def listing(self, path: str, query: Query, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return `{"data", "next_cursor"}` with up to `limit` rows, of as many pages as that takes."""
        rows: list[Any] = []
        while True:
            size = min(PAGE, limit - len(rows))
            page = self.get(path, {**query, "limit": size, "cursor": cursor})
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None or len(rows) >= limit:
                return {"data": rows, "next_cursor": cursor}

    def partner_id(self, named: str | None) -> str | None:
        """Return the id of a partner a person named by id or by name; None stays None. Raises Refused."""
        if named is None or named.startswith("prt_"):
            return named
        cursor: str | None = None
        while True:
            page = self.get(path("partners"), {"limit": PAGE, "cursor": cursor})
            for partner in page["data"]:
                if partner["name"] == named:
                    return str(partner["id"])
            cursor = page["next_cursor"]
            if cursor is None:
                raise Refused(f"There is no partner named '{named}'.", http_status=404)

    def _refusal(self, answer: httpx.Response) -> WebhookdError:
        try:
            problem = answer.json()
            detail = str(problem["detail"])
            errors = tuple(
                FieldError(path=str(one["path"]), message=str(one["message"]))
                for one in problem.get("errors", ())
            )
        except (ValueError, KeyError, TypeError):
            return self._not_ours(answer)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            detail = f"{detail.rstrip('.')}: mend WEBHOOKD_KEY."
        return Refused(detail, http_status=answer.status_code, errors=errors)

    def _not_ours(self, answer: httpx.Response) -> Refused:
        return Refused(
            f"{self._where} answered {answer.status_code}, not as webhookd does; is WEBHOOKD_URL right?",
            http_status=answer.status_code,
        )


def _given(query: Query | None) -> dict[str, str]:
    return {name: _word(value) for name, value in (query or {}).items() if value is not None}


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
