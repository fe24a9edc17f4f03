"""`webhookd up`: everything on this machine, until SIGTERM or Ctrl-C."""

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from webhookd.adapters.log_writer import LogWriter
from webhookd.adapters.store.drivers import shown
from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.data_dir import claimed
from webhookd.cli.first_keys import DevPartner, dev_partner, first_admin_key
from webhookd.cli.service import Service, running_service
from webhookd.cli.signals import StopSignals
from webhookd.core.scaling import WorkerRange
from webhookd.settings import Settings
from webhookd.taskset import load_task_sets
from webhookd.wiring.checked import checked_settings

app = typer.Typer(add_completion=False)

LOOPBACK: Final = "127.0.0.0/8,::1/128"
_LISTEN_PORT: Final = 9000


def _workers(text: str) -> WorkerRange:
    try:
        return WorkerRange.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--workers") from None


@app.command()
def up(
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
        allowed = ",".join(filter(None, (settings.egress_allow, LOOPBACK)))
        settings = settings.model_copy(update={"egress_allow": allowed})
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="up")
    with claimed(settings.data_dir):
        asyncio.run(_serve(settings, bounds, dev=dev))


async def _serve(settings: Settings, bounds: WorkerRange, *, dev: bool) -> None:
    with StopSignals() as signals:
        try:
            async with running_service(settings, bounds, on_supervisor=signals.supervises) as service:
                # Its reader may stall like any other, and must not keep us from hearing a signal.
                LogWriter(sys.stdout).put(f"{await _what_is_where(service, dev=dev)}\n".encode())
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not signals.came:
                raise
        signals.say("webhookd: stopped")


async def _what_is_where(service: Service, *, dev: bool) -> str:
    settings, store = service.settings, service.store
    lines = [f"webhookd is up at {service.url}", ""]
    facts = {
        "docs": f"{service.url}/docs",
        "data dir": str(settings.data_dir),
        "database": shown(store.db.url),
        "broker": f"embedded Valkey, {settings.data_dir / 'broker'}"
        if service.broker is not None
        else _without_password(settings.broker_url),
        "task sets": settings.tasks,
    }
    if settings.admin_key:
        facts["admin key"] = "the one in WEBHOOKD_ADMIN_KEY"
    elif made := await first_admin_key(store):
        facts["admin key"] = f"{made}  (shown this once: keep it)"
    lines += [f"  {name:<12} {value}" for name, value in facts.items()]
    if dev:
        partner = await dev_partner(store, service.vault, settings.data_dir)
        lines += ["", *_calls_to_try(service.url, partner, settings)]
    return "\n".join(lines) + "\n"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _calls_to_try(url: str, partner: DevPartner, settings: Settings) -> list[str]:
    """Lines to paste into a shell; they work as they are."""
    auth = f"-H 'Authorization: Bearer {partner.key}'"
    types = [definition.type for definition in load_task_sets(settings.tasks)]
    body = (
        '{"type": "report.statement", "input": {"account": "A-1"}, '
        f'"callback_url": "http://127.0.0.1:{_LISTEN_PORT}/"}}'
        if "report.statement" in types
        else f'{{"type": "{types[0]}", "input": {{}}, "callback_url": "http://127.0.0.1:{_LISTEN_PORT}/"}}'
    )
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
