"""The faults of the soak test: each hurts a site for a moment and leaves it to heal by itself.

A fault is a coroutine function of a `Site` and a random source. `PROCESSES` and `SERVICES` say how often each
comes; one of either strikes at the same time.
"""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.site import Site
from tests.support.services import until
from webhookd.adapters.broker.permits import permit

Fault = Callable[[Site, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`doubles`: attempts under way may be made again. `store`: the only database it can strike."""

    fault: Fault
    weight: int = 2
    doubles: bool = True
    store: str | None = None


async def kill_one(site: Site, chance: random.Random) -> None:
    """SIGKILL any one part."""
    _signal(chance.choice(_pids(site)), signal.SIGKILL)


async def kill_everything(site: Site, _chance: random.Random) -> None:
    """SIGKILL every process at once, and start them until they serve.

    Other faults go on meanwhile, so there need be no moment in which all is well: that is asked for when
    they are over.
    """
    site.installation.kill()

    async def serves() -> bool:
        await site.installation.begin()
        return await site.installation.serves()

    await until(serves, what="everything started again", seconds=120)


async def stop_one(site: Site, chance: random.Random) -> None:
    """SIGTERM any one part."""
    _signal(chance.choice(_pids(site)), signal.SIGTERM)


async def freeze_one(site: Site, chance: random.Random) -> None:
    """SIGSTOP any one part, shorter or longer than its lease."""
    pid = chance.choice(_pids(site))
    _signal(pid, signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(0.2, 5))
    _signal(pid, signal.SIGCONT)


async def die_after_submit(site: Site, _chance: random.Random) -> None:
    """Kill an API between commit and answer."""
    site.installation.arm("kill-after-submit")


async def die_before_record(site: Site, _chance: random.Random) -> None:
    """Kill a deliver worker between answer and record."""
    site.installation.arm("kill-before-record")


async def flush_broker(site: Site, _chance: random.Random) -> None:
    """Empty the broker."""
    with contextlib.suppress(Exception), site.valkey.client() as client:
        client.flushall()


async def restart_broker(site: Site, chance: random.Random) -> None:
    """Kill the broker; it comes back after a while."""
    site.valkey.kill()
    await asyncio.sleep(chance.uniform(0, 3))
    site.valkey.restart()


async def hang_broker(site: Site, chance: random.Random) -> None:
    """Let nothing through to the broker."""
    site.broker.swallow()
    await asyncio.sleep(chance.uniform(0.5, 5))
    site.broker.swallow(False)


async def slow_broker(site: Site, chance: random.Random) -> None:
    """Let all the broker says come late."""
    site.broker.latency_seconds = chance.uniform(0.05, 0.5)
    await asyncio.sleep(chance.uniform(0.5, 3))
    site.broker.latency_seconds = 0


async def fill_broker(site: Site, chance: random.Random) -> None:
    """Leave the broker no memory."""
    with contextlib.suppress(Exception):
        site.valkey.limit_memory(1)
        await asyncio.sleep(chance.uniform(0.5, 3))
        site.valkey.limit_memory(0)


async def forge_permits(site: Site, chance: random.Random) -> None:
    """Put permits, copies and garbage into the broker's lists."""
    with contextlib.suppress(Exception), site.valkey.client() as client:
        for queue in ("default", "deliver", "reports"):
            message = permit(queue)
            client.hset(f"webhookd:{queue}.msgs", message.message_id, message.encode())
            client.rpush(f"webhookd:{queue}", *[message.message_id] * 5, chance.randbytes(20))


async def crash_postgres(site: Site, chance: random.Random) -> None:
    """Stop PostgreSQL as a crash would; it comes back after a while."""
    assert site.postgres is not None
    site.postgres.stop("immediate")
    await asyncio.sleep(chance.uniform(0, 4))
    site.postgres.start()  # in this thread: it dies with the one that started it


async def cut_commits(site: Site, chance: random.Random) -> None:
    """Reset connections during COMMIT, again and again."""
    assert site.database is not None
    for _ in range(chance.randint(1, 10)):
        site.database.cut_at(b"COMMIT", arrived=chance.random() < 0.7)
        await asyncio.sleep(chance.uniform(0.05, 0.2))


async def cut_somewhere(site: Site, chance: random.Random) -> None:
    """Reset a connection to the database after any number of bytes."""
    assert site.database is not None
    site.database.cut_after(chance.randint(1, 20_000))


async def reset_database(site: Site, _chance: random.Random) -> None:
    """Reset every connection to the database."""
    assert site.database is not None
    site.database.reset()


async def hang_database(site: Site, chance: random.Random) -> None:
    """Let nothing through to the database."""
    assert site.database is not None
    site.database.swallow()
    await asyncio.sleep(chance.uniform(0.2, 4))
    site.database.swallow(False)


async def hold_database(site: Site, chance: random.Random) -> None:
    """Hold SQLite's write lock from another program."""
    path = site.installation.database_url.removeprefix("sqlite:///")
    with _sqlite(path) as database:
        database.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(chance.uniform(0.2, 5))


async def turn_read_only(site: Site, chance: random.Random) -> None:
    """Let the database be read and not written: as a failover does it, or from another program.

    In PostgreSQL the sessions are cut; in SQLite the write lock is held for that long.
    """
    seconds = chance.uniform(5, 20)
    if site.postgres is None:
        with _sqlite(site.installation.database_url.removeprefix("sqlite:///")) as database:
            database.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(seconds)
        return
    site.read_only()
    await asyncio.sleep(seconds)
    site.read_only(False)


async def fill_disk(site: Site, chance: random.Random) -> None:
    """Let the SQLite file grow no more."""
    with _sqlite(site.installation.database_url.removeprefix("sqlite:///")) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    site.installation.arm("max-pages", str(pages))
    await asyncio.sleep(chance.uniform(0.2, 3))
    site.installation.disarm("max-pages")


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as database:
        yield database


def _pids(site: Site) -> list[int]:
    return [pid for pids in site.installation.children().values() for pid in pids]


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


PROCESSES = (
    Entry(fault=kill_one, weight=4),
    Entry(fault=kill_everything, weight=1),
    Entry(fault=stop_one, weight=4),
    Entry(fault=freeze_one, weight=4),
    Entry(fault=die_after_submit, doubles=False),
    Entry(fault=die_before_record),
)
SERVICES = (
    Entry(fault=flush_broker, doubles=False),
    Entry(fault=restart_broker, doubles=False),
    Entry(fault=hang_broker, doubles=False),
    Entry(fault=slow_broker, weight=1, doubles=False),
    Entry(fault=fill_broker, weight=1, doubles=False),
    Entry(fault=forge_permits, doubles=False),
    Entry(fault=crash_postgres, store="postgresql"),
    Entry(fault=cut_commits, store="postgresql"),
    Entry(fault=cut_somewhere, store="postgresql"),
    Entry(fault=reset_database, store="postgresql"),
    Entry(fault=hang_database, store="postgresql"),
    Entry(fault=hold_database, store="sqlite"),
    Entry(fault=fill_disk, store="sqlite"),
    Entry(fault=turn_read_only),
)


def choose(entries: Sequence[Entry], store: str, chance: random.Random) -> Entry:
    """Return one that can strike this store."""
    fitting = [entry for entry in entries if entry.store in (None, store)]
    return chance.choices(fitting, weights=[entry.weight for entry in fitting])[0]
