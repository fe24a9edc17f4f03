"""`webhookd up`: everything on this machine, until SIGTERM or Ctrl-C."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from webhookd.adapters.forerunner import Forerunner, forerunners
from webhookd.adapters.store.drivers import import_driver, parse_url, shown
from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.data_dir import claimed
from webhookd.cli.first_keys import DevPartner, dev_link, dev_partner, first_admin_key
from webhookd.cli.plan import Plan, become_host, hold_signals
from webhookd.cli.preparation import Prepared, prepared
from webhookd.cli.processes import service_processes
from webhookd.cli.sample_input import type_to_try
from webhookd.cli.stop_signals import StopSignals
from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import allowing_loopback
from webhookd.core.scaling import WorkerRange
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import checked_settings

app = typer.Typer(add_completion=False)

_LISTEN_PORT: Final = 9000
_ONCE: Final = "shown this once: keep it"


def _workers(text: str) -> WorkerRange:
    try:
        return WorkerRange.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--workers") from None


@app.command()
def up(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Address the API listens on. [WEBHOOKD_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. [WEBHOOKD_PORT]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where database, broker files and keys are kept. [WEBHOOKD_DATA_DIR]")
    ] = None,
    workers: Annotated[
        str, typer.Option(metavar="MIN..MAX", help="Task worker processes; more come while tasks wait long.")
    ] = "1",
    dev: Annotated[
        bool,
        typer.Option("--dev", help="Allow callbacks to this machine, make a partner, show calls to try."),
    ] = False,
) -> None:
    """Serve everything on this machine: API, task workers, deliveries, an embedded broker and SQLite.

    WEBHOOKD_DATABASE_URL and WEBHOOKD_BROKER_URL put PostgreSQL and Redis or Valkey in their place.
    """
    bounds = _workers(workers)
    settings = checked_settings(host=host, port=port, data_dir=data_dir)
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    if dev:
        allowed = allowing_loopback(settings.egress_allow)
        settings = settings.model_copy(update={"egress_allow": allowed})
    with claimed(settings.data_dir) as lock:
        ahead = _ahead(settings, bounds) if context.obj else {}
        try:
            configure_logging(log_format=settings.log_format, level=settings.log_level, process="up")
            plan = asyncio.run(_prepare(settings, bounds, dev=dev, lock=lock, ahead=ahead))
            if plan is not None:
                become_host(plan)
        finally:
            for process in ahead.values():
                process.dismiss()


def _ahead(settings: Settings, bounds: WorkerRange) -> dict[str, Forerunner]:
    """Fork the first processes: what they need beyond our modules they import while we prepare."""
    import_driver(parse_url(settings.resolved_database_url))
    return forerunners({spec.name: spec.argv for spec in service_processes(settings, bounds)})


async def _prepare(
    settings: Settings, bounds: WorkerRange, *, dev: bool, lock: int, ahead: Mapping[str, Forerunner]
) -> Plan | None:
    """Return what is to be kept running; None where a signal has ended it."""
    unsaid = ""
    with StopSignals() as signals:
        try:
            async with prepared(settings) as made:
                key = "" if settings.admin_key else await first_admin_key(made.store)
                unsaid = f"webhookd: the admin key is {key}  ({_ONCE})" if key else ""
                said = await _what_is_where(made, key, dev=dev)
            await hold_signals()
        except asyncio.CancelledError:
            if not signals.came:
                raise
            for sentence in filter(None, (unsaid, "webhookd: stopped")):
                signals.say(sentence)
            return None
    return made.plan("up", bounds, said=said, unsaid=unsaid, lock=lock, forerunners=ahead)


async def _what_is_where(made: Prepared, admin_key: str | None, *, dev: bool) -> str:
    settings = made.settings
    lines = [f"webhookd is up at {made.url}", ""]
    facts = {
        "docs": f"{made.url}/docs",
        "pages": f"{made.url}/admin/",
        "data dir": str(settings.data_dir),
        "database": shown(made.store.db.url),
        "broker": _without_password(settings.broker_url)
        if settings.broker_url
        else f"embedded Valkey, {settings.data_dir / 'broker'}",
        "task sets": settings.tasks,
    }
    if settings.admin_key:
        facts["admin key"] = "the one in WEBHOOKD_ADMIN_KEY"
    elif admin_key:
        facts["admin key"] = f"{admin_key}  ({_ONCE})"
    lines += [f"  {name:<12} {value}" for name, value in facts.items()]
    if dev:
        admin_key_hash = operator_key_hash(settings.admin_key) if settings.admin_key else None
        if token := await dev_link(made.store, admin_key_hash):
            lines.append(f"  {'log in once':<12} {made.url}/admin/enter?token={token}")
        partner = await dev_partner(made.store, made.vault, settings.data_dir)
        lines += ["", *_calls_to_try(made.url, partner, settings)]
    return "\n".join(lines) + "\n\n"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _calls_to_try(url: str, partner: DevPartner, settings: Settings) -> list[str]:
    """Lines to paste into a shell; they work as they are."""
    auth = f"-H 'Authorization: Bearer {partner.key}'"
    types = load_task_sets(settings.tasks)
    if any(definition.type == "report.statement" for definition in types):
        type_, input_ = "report.statement", {"account": "A-1"}
    else:
        type_, input_ = type_to_try(types)
    callback = f"http://127.0.0.1:{_LISTEN_PORT}/"
    body = json.dumps({"type": type_, "input": input_, "callback_url": callback})
    return [
        "Callbacks to this machine are allowed, and there is a partner named dev. Receive its webhooks:",
        "",
        f"  webhookd listen --port {_LISTEN_PORT} --secret {shlex.quote(partner.secret)}",
        "",
        "and in another shell submit a task, list the tasks, the deliveries and the dead letters:",
        "",
        f"  curl -sS {url}/v1/tasks {auth} -H 'Content-Type: application/json' -d {shlex.quote(body)}",
        "",
        *(f"  curl -sS {url}/v1/{noun} {auth}" for noun in ("tasks", "deliveries", "dead-letters")),
    ]
