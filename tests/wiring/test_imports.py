"""What each process imports at its start: what it never uses costs it memory and time."""

import subprocess
import sys

import pytest

_NEVER = {
    "webhookd.worker": (
        "aiohttp",
        "asyncpg",
        "starlette",
        "uvicorn",
        "sqlalchemy.orm",
        "alembic",
        "rich",
        "psutil",
    ),
    "webhookd.asgi": (
        "aiohttp",
        "asyncpg",
        "dramatiq",
        "sqlalchemy.orm",
        "alembic",
        "httpx",
        "rich",
        "psutil",
        "webhookd.samples",
    ),
    "webhookd.cli.hosting": ("sqlalchemy", "pydantic", "redis", "httpx", "typer", "rich", "cryptography"),
    "webhookd.cli.up": (
        "aiohttp",
        "asyncpg",
        "dramatiq",
        "sqlalchemy.orm",
        "starlette",
        "uvicorn",
        "rich",
        "psutil",
    ),
    "webhookd.cli.migrate": ("rich", "psutil"),
    "webhookd.cli.tasks": ("click", "sqlalchemy", "pydantic"),
    "webhookd.adapters.runner.child": ("rich", "sqlalchemy", "redis"),
    "webhookd.adapters.sender": ("click", "rich"),
}


def test_what_is_left_out_can_be_imported_later() -> None:
    lean = "webhookd.runtime.lean_redis, webhookd.runtime.lean_httpx"
    script = f"import {lean}, rich.console, click, opentelemetry.sdk.metrics"
    assert subprocess.run([sys.executable, "-c", script], check=True).returncode == 0


@pytest.mark.parametrize("process", _NEVER)
def test_process_on_sqlite_imports_nothing_that_it_never_uses(process: str) -> None:
    imported = subprocess.run(
        [sys.executable, "-c", f"import sys, {process}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {*_NEVER[process]} & {*imported}


def test_collector_that_an_operators_module_turned_off_stays_off() -> None:
    script = (
        "import gc; gc.disable()\n"
        "from webhookd.runtime.loop_policy import settle_collector\n"
        "settle_collector()\n"
        "assert not gc.isenabled()"
    )
    assert subprocess.run([sys.executable, "-c", script], check=True).returncode == 0
