"""What the checks look at: the settings, the database and the broker, opened once for all of them."""

import asyncio
import contextlib
import json
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Coroutine
from functools import cached_property
from typing import Any, Final, Self, TypeVar

from webhookd.adapters.broker.checkup import BrokerCheckup, check_up
from webhookd.adapters.embedded import running_url
from webhookd.adapters.store.clock import StoreClock
from webhookd.adapters.store.database import Database
from webhookd.adapters.store.migrate import current_revision, newest_revision
from webhookd.adapters.store.upkeep.durability import sqlite_journal_mode
from webhookd.adapters.store.upkeep.sessions import live_sessions
from webhookd.core.errors import SettingsError, WebhookdError
from webhookd.settings import Settings
from webhookd.wiring.process import require_database, sqlite_path

T = TypeVar("T")

IMPORT_SECONDS: Final = 8.0
_CLOSE_SECONDS: Final = 2.0

Session = dict[str, Any]


class Absent(Exception):
    """Raised to a check whose part is not there: that is another check's finding."""


class Installation:
    """Use it as a context. What is asked for twice is looked at once. `hung`: something never answered."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal_mode: str | None = None
        self.hung = False
        self._clock: StoreClock | None = None
        self._looks: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        opening = self._looks.pop("database", None)
        for look in self._looks.values():
            look.cancel()
        if opening is None or opening.cancel() or opening.exception() is not None:
            return  # never asked for, not open yet, or never to be
        db: Database = opening.result()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await db.close()
        except TimeoutError:
            self.hung = True

    async def open_database(self) -> Database:
        """Return the database, whatever its schema. Raises SettingsError with the reason."""
        return await self._once("database", self._open_database())

    async def revision(self) -> str | None:
        """Return the revision of the database's schema; None where there is none."""
        db = await self.reached()
        return await self._once("revision", db.read(current_revision))

    async def database(self) -> Database:
        """Return the database, at this release's schema. Raises Absent."""
        db = await self.reached()
        if await self.revision() != newest_revision():
            raise Absent("the database's schema")
        return db

    async def sessions(self) -> list[Session]:
        """Return the processes with a running lease. Raises Absent."""
        db = await self.database()
        return await self._once("sessions", db.read(live_sessions, self.now_ms()))

    async def broker(self) -> BrokerCheckup | None:
        """Return how the broker is; None where it is the embedded one, and does not run."""
        return await self._once("broker", self._look_at_broker())

    async def task_types(self) -> frozenset[str]:
        """Return the types of WEBHOOKD_TASKS.

        Raises SettingsError as a worker's start would, TimeoutError after IMPORT_SECONDS.
        """
        return await self._once("task types", _imported_types(self.settings.tasks))

    def now_ms(self) -> int:
        """Return the time by the database's clock. Raises Absent before it is open."""
        if self._clock is None:
            raise Absent("the database")
        return self._clock.now_ms()

    @cached_property
    def waits_for_a_lease_seconds(self) -> float:
        """How long to look on before a lease that was not renewed is believed to have nobody behind it."""
        return min(self.settings.lease_seconds / 3 + 0.5, 5.5)

    async def reached(self) -> Database:
        """Return the database, whatever its schema. Raises Absent."""
        try:
            return await self.open_database()
        except WebhookdError:
            raise Absent("the database") from None

    async def _open_database(self) -> Database:
        require_database(self.settings)
        if (path := sqlite_path(self.settings)) is not None:
            # Before it is opened for work, because that would turn the mode on again.
            with contextlib.suppress(sqlite3.Error):
                mode: str = await asyncio.to_thread(sqlite_journal_mode, path)
                self.journal_mode = mode
        db = await Database.open(self.settings.resolved_database_url)
        self._clock = StoreClock(db)
        await self._clock.sync()
        return db

    async def _look_at_broker(self) -> BrokerCheckup | None:
        if self.settings.broker_url:
            return await check_up(self.settings.broker_url)
        url = await asyncio.to_thread(running_url, self.settings.data_dir / "broker")
        return None if url is None else await check_up(url)

    async def _once(self, name: str, look: Coroutine[Any, Any, T]) -> T:
        """Await a look that other checks may await too: one that gives up must not end it for all."""
        if name in self._looks:
            look.close()
        else:
            self._looks[name] = asyncio.ensure_future(look)
            # Where every check that waits for it has given up, nobody is left to see how it failed.
            self._looks[name].add_done_callback(lambda done: done.cancelled() or done.exception())
        found: T = await asyncio.shield(self._looks[name])
        return found


async def _imported_types(spec: str) -> frozenset[str]:
    """Import the task sets in a process of their own: what operators wrote may do anything, or never end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "webhookd.taskset.listed", spec, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(IMPORT_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines()
        raise SettingsError(said[-1] if said else f"WEBHOOKD_TASKS: importing {spec} ended the process.")
    return frozenset(json.loads(out.decode().splitlines()[-1]))
