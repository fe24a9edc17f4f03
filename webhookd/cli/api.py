"""`webhookd api`: the HTTP API alone, for PostgreSQL and Redis or Valkey shared by many machines."""

import asyncio
from typing import Annotated

import typer

from webhookd.adapters.telemetry import configure_logging
from webhookd.asgi import serve
from webhookd.runtime.loop_policy import loop_factory
from webhookd.wiring.checked import checked_settings
from webhookd.wiring.listening import listen

app = typer.Typer(add_completion=False)


@app.command()
def api(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [WEBHOOKD_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. [WEBHOOKD_PORT]")
    ] = None,
) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C. The database must be migrated."""
    settings = checked_settings(host=host, port=port)
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="api")
    with listen(settings) as listener, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(settings, listener))
