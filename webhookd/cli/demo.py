"""`webhookd demo`: the whole story in one run, on embedded parts in a temporary folder.

The story itself is in `story`. Here: a clean room for it, so that no setting, `.env` or file of the place
where it is started changes anything, and nothing is left behind.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from webhookd.adapters.telemetry import configure_logging
from webhookd.cli.data_dir import claimed
from webhookd.cli.hosting import hosted
from webhookd.cli.preparation import prepared
from webhookd.cli.stage import Stage
from webhookd.cli.stop_signals import StopSignals
from webhookd.cli.story import STEPS
from webhookd.core.errors import WebhookdError
from webhookd.core.scaling import WorkerRange
from webhookd.wiring.checked import checked_settings

app = typer.Typer(add_completion=False)

_LOG_FILE: Final = "demo.log"
_SETTINGS: Final = {
    "WEBHOOKD_DATA_DIR": "data",
    "WEBHOOKD_PORT": "0",
    "WEBHOOKD_EGRESS_ALLOW": "127.0.0.0/8",
    # Days in seconds: the schedule has the usual shape, and 4 attempts in place of 14.
    "WEBHOOKD_RETRY_BASE_SECONDS": "0.4",
    "WEBHOOKD_RETRY_FACTOR": "2",
    "WEBHOOKD_RETRY_CAP_SECONDS": "10",
    "WEBHOOKD_RETRY_MAX_ATTEMPTS": "4",
    "WEBHOOKD_LEASE_SECONDS": "3",
    "WEBHOOKD_SHUTDOWN_SECONDS": "5",
    "WEBHOOKD_MIN_FREE_DISK_BYTES": "0",
}


@app.command()
def demo() -> None:
    """Submit, work, signed delivery, retries, dead letter, replay, a killed worker: all of it, for real."""
    folder = Path(tempfile.mkdtemp(prefix="webhookd-demo-"))
    try:
        with _clean_room(folder) as console:
            asyncio.run(_tell(console))
    except Exception as error:
        reason = error.detail if isinstance(error, WebhookdError) else f"{type(error).__name__}: {error}"
        raise WebhookdError(
            f"The demo failed: {reason.rstrip('.')}. Its logs are in {folder / _LOG_FILE}."
        ) from error
    except BaseException:  # interrupted
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _clean_room(folder: Path) -> Iterator[Console]:
    """Only our settings, the folder as working directory, and stderr, ours and the children's, in a file."""
    for name in [name for name in os.environ if name.startswith(("WEBHOOKD_", "OTEL_"))]:
        del os.environ[name]
    os.environ.update(_SETTINGS, WEBHOOKD_ADMIN_KEY=secrets.token_urlsafe(24))
    before, terminal = Path.cwd(), os.dup(2)
    os.chdir(folder)
    log = os.open(_LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stderr.flush()
    os.dup2(log, 2)
    os.close(log)
    try:
        yield Console(highlight=False)
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        with contextlib.suppress(OSError):
            os.chdir(before)


async def _tell(console: Console) -> None:
    started = time.monotonic()
    settings = checked_settings()
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    configure_logging(log_format=settings.log_format, level=settings.log_level, process="demo")
    workers = WorkerRange(least=1, most=1)
    with StopSignals() as signals, claimed(settings.data_dir):
        try:
            with console.status("starting a broker, a database, an API and two workers"):
                async with prepared(settings) as made:
                    plan = made.plan("demo", workers)
                async with contextlib.AsyncExitStack() as stack:
                    service = hosted(plan, open_store=made.reopened, on_supervisor=signals.supervises)
                    supervisor = await stack.enter_async_context(service)
                    stage = await stack.enter_async_context(Stage.on(made, supervisor))
                    _say(console, "a broker, a database, an API and two workers are up", started, [made.url])
                    for step in STEPS:
                        before = time.monotonic()
                        lines = await step.play(stage)
                        _say(console, step.title, before, lines)
        except asyncio.CancelledError:
            if signals.came:
                raise KeyboardInterrupt from None
            raise
    console.print(f"\nAll of it in {time.monotonic() - started:.1f} s. Next: [bold]webhookd up --dev[/bold]")


def _say(console: Console, title: str, since: float, lines: list[str]) -> None:
    console.print(
        f"[bold green]✓[/bold green] [bold]{title}[/bold]  [dim]{time.monotonic() - since:.1f} s[/dim]"
    )
    for line in lines:
        console.print(f"    {line}", soft_wrap=True, markup=False)
