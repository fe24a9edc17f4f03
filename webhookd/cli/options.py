"""Options that several client commands have in common, and how the texts given to them are read."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from webhookd.core.times import parse_rfc3339, to_rfc3339

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d|w)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def span_ms(text: str) -> int:
    """Return the milliseconds of `90s`, `15m`, `2h`, `1.5d` or `1w`. Raises BadParameter."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"'{text}' is no span of time such as 90s, 15m, 2h or 7d")
    return int(float(found[1]) * _UNIT_MS[found[2]])


def past(text: str) -> str:
    """Return an RFC 3339 time, given as one or as a span that counts back from now. Raises BadParameter."""
    return _moment(text, direction=-1)


def future(text: str) -> str:
    """Return an RFC 3339 time, given as one or as a span that counts from now on. Raises BadParameter."""
    return _moment(text, direction=1)


def _moment(text: str, *, direction: int) -> str:
    if _SPAN.fullmatch(text):
        try:
            return to_rfc3339(int(time.time() * 1000) + direction * span_ms(text))
        except OverflowError:
            raise typer.BadParameter(f"'{text}' is too long a time") from None
    try:
        return to_rfc3339(parse_rfc3339(text))
    except ValueError:
        raise typer.BadParameter(
            f"'{text}' is neither a time such as 2026-11-24T06:00:00Z nor a span such as 15m or 7d"
        ) from None


def json_value(text: str) -> Any:
    """Return the JSON of an argument: itself, `@file`, or `-` for stdin. Raises BadParameter."""
    if text == "-":
        raw, place = sys.stdin.buffer.read(), "stdin"
    elif text.startswith("@"):
        place = text[1:]
        try:
            raw = Path(place).read_bytes()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {place}: {error.strerror}") from None
    else:
        raw, place = text.encode(errors="surrogateescape"), f"'{text[:60]}'"
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise typer.BadParameter(f"{place} is not JSON: {reason}") from None


def secret_text(text: str) -> str:
    """Return a secret given as `@file`, or `-` for stdin: no history keeps it. Raises BadParameter."""
    if text == "-":
        return sys.stdin.readline().strip()
    if not text.startswith("@"):
        raise typer.BadParameter("give it as @file, or - for stdin: a shell keeps what is typed")
    try:
        return Path(text[1:]).read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {text[1:]}: {error.strerror}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def pairs(texts: Iterable[str], *, separator: str) -> dict[str, str]:
    """Return the names and values of `name=value` texts. Raises BadParameter."""
    found: dict[str, str] = {}
    for text in texts:
        name, between, value = text.partition(separator)
        if not between or not name.strip():
            raise typer.BadParameter(f"'{text}' is not of the form name{separator}value")
        found[name.strip()] = value.strip() if separator == ":" else value
    return found


def given(**fields: object) -> dict[str, Any]:
    """Return the fields that were given: not None, and not an empty list."""
    return {name: value for name, value in fields.items() if value is not None and value != []}


def taking(**makers: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, in place of each parameter named here, the options that its maker has as parameters."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command)
        shared = {name: signature(make).parameters for name, make in makers.items()}
        parameters = [
            one
            for name, its in own.parameters.items()
            for one in (shared[name].values() if name in shared else (its,))
        ]

        @wraps(command)
        def called(**given_: Any) -> None:
            made = {
                name: make(**{one: given_.pop(one) for one in shared[name]}) for name, make in makers.items()
            }
            command(**made, **given_)

        called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        return called

    return decorate


Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(help="Go on from where a listing ended.")]
Partner = Annotated[
    str | None, typer.Option(metavar="PARTNER", help="Which partner, by id or name; only for admins.")
]
Since = Annotated[
    str | None,
    typer.Option(parser=past, metavar="TIME", help="From then on: 2026-11-24T06:00:00Z, or 15m, 2h, 7d ago."),
]
Until = Annotated[str | None, typer.Option(parser=past, metavar="TIME", help="Before then; as --since.")]
