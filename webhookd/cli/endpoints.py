"""`webhookd endpoints`: registered callback URLs, their settings and secrets, turning them on and off."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from webhookd.cli.attempts import print_attempt
from webhookd.cli.client import THE_RULE, open_api, path
from webhookd.cli.listing import ListOptions
from webhookd.cli.options import Json, Partner, given, pairs, secret_text, span_ms, taking
from webhookd.cli.resource_commands import ResourceCommands
from webhookd.cli.screen import column, duration, print_facts, print_json, state, tell, when, whose

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help=f"Register and look after callback URLs. {THE_RULE}"
)


class Ordering(StrEnum):
    """How an endpoint's deliveries follow each other."""

    NONE = "none"
    FIFO = "fifo"


class SchemeName(StrEnum):
    """How its webhooks are signed: `v1` with a shared secret, `v1a` with a key pair as well."""

    V1 = "v1"
    V1A = "v1a"


class WindowName(StrEnum):
    """The time until now that figures are of."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


class Resettable(StrEnum):
    """Settings that have a default to go back to."""

    DESCRIPTION = "description"
    EVENTS = "events"
    TASK_TYPES = "task_types"
    HEADERS = "headers"
    RATE_LIMIT = "rate_limit"
    MAX_CONCURRENCY = "max_concurrency"
    ORDERING = "ordering"
    RETRY = "retry"
    SIGNATURE = "signature"


_Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT_ID", help="The endpoint's id (ep_…).")]
_Secret = Annotated[
    str | None,
    typer.Option(
        parser=secret_text,
        metavar="@FILE",
        help="A secret you bring (whsec_…), in a file, or - for stdin; one is made if left out.",
    ),
]


def _tell(endpoint: dict[str, Any]) -> None:
    retry = {name: value for name, value in endpoint["retry"].items() if value is not None}
    print_facts(
        {
            "id": endpoint["id"],
            "partner": whose(endpoint),
            "url": endpoint["url"],
            "state": state(endpoint["state"]),
            "reason": endpoint["disabled_reason"],
            "breaker": endpoint["breaker"],
            "failing since": when(endpoint["failing_since"]),
            "description": endpoint["description"],
            "events": endpoint["events"],
            "task types": endpoint["task_types"],
            "headers": list(endpoint["headers"]),
            "rate limit": endpoint["rate_limit"],
            "at a time": endpoint["max_concurrency"],
            "ordering": endpoint["ordering"],
            "retry": retry,
            "signature": endpoint["signature"],
            "public key": endpoint.get("public_key"),
            "created": when(endpoint["created_at"]),
            "secret": endpoint.get("secret"),
            "the old until": when(endpoint.get("previous_expires_at")),
        }
    )
    if "secret" in endpoint:
        tell("The secret is shown this once: keep it.")


_ENDPOINT = ResourceCommands(app=app, step="endpoints", its_id=_Endpoint, tell=_tell)


def _settings(
    *,
    description: Annotated[str | None, typer.Option(help="What it is.")] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event", help="An event it wants; may be given again. task.* if left out at the making."
        ),
    ] = None,
    task_types: Annotated[
        list[str] | None,
        typer.Option("--task-type", help="Only of tasks of this type, or report.*; may be given again."),
    ] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME:VALUE", help="A header to send along; may be given again."),
    ] = None,
    rate_limit: Annotated[float | None, typer.Option(help="Attempts per second at most.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Attempts at a time at most.")] = None,
    ordering: Annotated[Ordering | None, typer.Option(help="fifo: one after the other, in order.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Attempts before a delivery is dead.")] = None,
    base: Annotated[
        float | None, typer.Option("--retry-base", metavar="SECONDS", help="The first pause.")
    ] = None,
    factor: Annotated[
        float | None, typer.Option("--retry-factor", help="Each pause is this times the last.")
    ] = None,
    cap: Annotated[
        float | None, typer.Option("--retry-cap", metavar="SECONDS", help="The longest pause.")
    ] = None,
    signature: Annotated[
        list[SchemeName] | None,
        typer.Option("--signature", help="v1, or v1 and v1a: give it again for both."),
    ] = None,
) -> dict[str, Any]:
    """Return the settings that were given."""
    return given(
        description=description,
        events=events,
        task_types=task_types,
        headers=pairs(headers, separator=":") if headers else None,
        rate_limit=rate_limit,
        max_concurrency=max_concurrency,
        ordering=ordering,
        retry=_retry(max_attempts, base, factor, cap),
        signature=signature,
    )


@app.command("create")
@taking(chosen=_settings)
def create(
    url: Annotated[str, typer.Argument(help="Where webhooks are sent: an https URL.")],
    *,
    chosen: dict[str, Any],
    secret: _Secret = None,
    partner: Partner = None,
    json_output: Json = False,
) -> None:
    """Register an endpoint; its secret is shown this once."""
    body = chosen | given(url=url, secret=secret)
    with open_api() as api:
        if partner is not None:
            body["partner"] = api.partner_id(partner)
        made = api.post(path("endpoints"), body)
    _ENDPOINT.show(made, json_output=json_output)


@app.command("list")
@taking(page=ListOptions)
def list_(
    *,
    state_is: Annotated[str | None, typer.Option("--state", help="Only those enabled, or disabled.")] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Only those without a success of late.")] = False,
    partner: Partner = None,
    page: ListOptions,
) -> None:
    """List endpoints, newest first."""
    page.show(
        path("endpoints"),
        {"partner": partner, "state": state_is, "failing": failing or None},
        (
            column("id"),
            column("state", lambda row: state(row["state"])),
            column("breaker"),
            column("url"),
            column("events"),
            column("failing since", lambda row: when(row["failing_since"])),
            column("description"),
        ),
        none="No endpoints: `webhookd endpoints create URL` registers one.",
    )


_ENDPOINT.get("Show an endpoint; its secret is shown nowhere.")


@app.command("update")
@taking(chosen=_settings)
def update(
    endpoint: _Endpoint,
    *,
    url: Annotated[str | None, typer.Option(help="Another URL; what waits goes there too.")] = None,
    chosen: dict[str, Any],
    reset: Annotated[
        list[Resettable] | None, typer.Option(help="Back to the default; may be given again.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Change settings; what is not named stays. --event, --header and the like replace the whole list."""
    body: dict[str, Any] = dict.fromkeys(map(str, reset or ()))
    body |= chosen | given(url=url)
    if not body:
        raise typer.BadParameter("there is nothing to change", param_hint="OPTIONS")
    with open_api() as api:
        document = api.call("PATCH", path("endpoints", endpoint), body=body)
    _ENDPOINT.show(document, json_output=json_output)


_ENDPOINT.remove(
    "delete", "Delete an endpoint; what still waited for it becomes dead letters.", done="deleted"
)


@app.command("rotate-secret")
def rotate_secret(
    endpoint: _Endpoint,
    *,
    overlap: Annotated[
        str, typer.Option(metavar="SPAN", help="How long the old secret signs beside the new: 0s, 12h, 7d.")
    ] = "1d",
    secret: _Secret = None,
    json_output: Json = False,
) -> None:
    """Make a new secret, shown this once, or bring one."""
    body = given(overlap_seconds=span_ms(overlap) / 1000, secret=secret)
    with open_api() as api:
        document = api.post(path("endpoints", endpoint, "rotate-secret"), body)
    _ENDPOINT.show(document, json_output=json_output)


@app.command("test")
def send_test(
    endpoint: _Endpoint,
    *,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for what comes back.")] = 0,
    json_output: Json = False,
) -> None:
    """Send it a `webhookd.test` message once, whatever it subscribes to."""
    headers = {"Prefer": f"wait={wait}"} if wait else None
    with open_api() as api:
        delivery = api.call("POST", path("endpoints", endpoint, "test"), headers=headers, wait_seconds=wait)
    if json_output:
        print_json(delivery)
        return
    print_facts({name: delivery[name] for name in ("id", "message_id", "event", "url", "state")})
    if attempt := delivery.get("attempt"):
        print_attempt(attempt)
    else:
        tell(f"See what came of it: webhookd deliveries get {delivery['id']}")


@app.command("stats")
def stats(
    endpoint: _Endpoint,
    *,
    window: Annotated[
        WindowName, typer.Option(help="The time until now that the figures are of.")
    ] = WindowName.DAY,
    json_output: Json = False,
) -> None:
    """Show how it does: attempts, errors, times of answers, what waits."""
    with open_api() as api:
        document = api.get(path("endpoints", endpoint, "stats"), {"window": window})
    if json_output:
        print_json(document)
        return
    times = {name: document[f"{name}_ms"] for name in ("p50", "p95")}
    print_facts(
        {
            "state": state(document["state"]),
            "breaker": document["breaker"],
            "failing since": when(document["failing_since"]),
            "last success": when(document["last_success_at"]),
            "since": when(document["since"]),
            "attempts": document["attempts"],
            "delivered": document["delivered"],
            **{f"failed: {error}": count for error, count in document["failed"].items()},
            **{name: None if ms is None else duration(ms) for name, ms in times.items()},
            "pending": document["pending"],
            "parked": document["parked"],
            "dead": document["dead"],
        }
    )


_ENDPOINT.move("enable", "Enable it; what was parked meanwhile is delivered.")
_ENDPOINT.move("disable", "Disable it; its deliveries are parked, not lost.")


@app.command("retry")
def retry(endpoint: _Endpoint, *, json_output: Json = False) -> None:
    """Send now all that waits for it: its receiver is back."""
    with open_api() as api:
        document = api.post(path("endpoints", endpoint, "retry"))
    if json_output:
        print_json(document)
    else:
        print(f"{document['due']:,} deliveries are due now.")


def _retry(
    max_attempts: int | None, base: float | None, factor: float | None, cap: float | None
) -> dict[str, Any] | None:
    retry = given(max_attempts=max_attempts, base_seconds=base, factor=factor, cap_seconds=cap)
    return retry or None
