"""Single crashes, each at the moment that hurts most."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import select, text

from tests.faults.held import Held
from tests.faults.invariants import looking_into, settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site
from tests.support.installation import Installation
from tests.support.services import until
from webhookd.adapters.store.schema import deliveries

pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_api_killed_between_commit_and_answer_gives_the_same_task_to_the_retry(site: Site) -> None:
    installation = site.installation
    async with partner_under_load(installation, "killed api") as (load, receiver):
        armed = installation.arm("kill-after-submit")
        task_id = await load.submit(7)
        assert not armed.exists()
        assert load.broken >= 1, "the first call had no answer"
        await settled(installation, seconds=10)
        assert await load.submit(7) == task_id
        await verify(installation, [load], receiver.hits)
        assert len(receiver.hits) == 1


async def test_worker_killed_again_and_again_mid_task_makes_it_a_dead_letter(
    site: Site, tmp_path: Path
) -> None:
    installation = site.installation
    async with partner_under_load(installation, "killed tasks") as (load, receiver):
        held = Held(tmp_path)
        task_id = await load.submit(0, {**load.body(0), **held.body})
        for number in range(2):
            os.kill((await held.started(number + 1))[-1], signal.SIGKILL)
        await settled(installation)
        async with installation.client(load.key) as client:
            task = (await client.get(f"/v1/tasks/{task_id}")).json()
            [letter] = (await client.get("/v1/dead-letters", params={"kind": "task"})).json()["data"]
        assert (task["state"], task["attempts"], task["error"]["code"]) == ("failed", 2, "worker_crashed")
        assert (letter["id"], letter["reason"]) == (task_id, "worker_crashed")
        await verify(installation, [load], receiver.hits)
        assert [b'"task.failed"' in hit.body for hit in receiver.hits] == [True]


async def test_worker_killed_after_the_200_delivers_once_more_with_the_same_bytes(site: Site) -> None:
    installation = site.installation
    async with partner_under_load(installation, "killed deliver") as (load, receiver):
        installation.arm("kill-before-record")
        await load.submit(1, {"type": "demo.echo", "callback_url": load.callback_url})
        await settled(installation)
        tally = await verify(installation, [load], receiver.hits, most_duplicates=1)
        assert tally.duplicates == 1
        assert [hit.headers["webhook-attempt"] for hit in receiver.hits] == ["1", "2"]


async def test_late_end_of_a_frozen_task_worker_is_refused(site: Site, tmp_path: Path) -> None:
    """It is never told that it lost its lease: the store alone must refuse."""
    installation = site.installation
    async with partner_under_load(installation, "frozen tasks") as (load, receiver):
        held = Held(tmp_path)
        task_id = await load.submit(0, {**load.body(0), **held.body})
        [frozen] = await held.started(1)
        with Ice(installation, frozen) as ice:
            ice.freeze()
            [_, other] = await held.started(2)
            held.release()
            await settled(installation)
            ice.thaw()
            await until(
                lambda: _logged(installation, task_id, "outcome=lost"), what="the refusal of the late end"
            )
        async with installation.client(load.key) as client:
            task = (await client.get(f"/v1/tasks/{task_id}")).json()
        assert other != frozen
        assert task["result"] == {"pid": other}
        await verify(installation, [load], receiver.hits)


async def test_late_record_of_a_frozen_deliver_worker_is_refused(site: Site) -> None:
    installation = site.installation
    async with partner_under_load(installation, "frozen deliver") as (load, receiver):
        [frozen] = installation.children()["deliver"]
        with Ice(installation, frozen) as ice:
            receiver.on_hit = lambda _: ice.freeze()
            await load.submit(1, {"type": "demo.echo", "callback_url": load.callback_url})
            await until(lambda: receiver.hits, what="the first attempt")
            receiver.on_hit = None
            delivery_id = await until(lambda: _taken_back(installation, load), what="the lease's end")
            assert delivery_id is not None
            ice.thaw()
            await until(
                lambda: _logged(installation, delivery_id, "verdict=lost"), what="the refusal of the record"
            )
        await settled(installation)
        tally = await verify(installation, [load], receiver.hits, most_duplicates=1)
        assert (tally.delivered, tally.duplicates) == (1, 1)
        async with installation.client(load.key) as client:
            shown = (await client.get(f"/v1/deliveries/{delivery_id}")).json()
        assert [attempt["number"] for attempt in shown["attempts_log"]] == [2]


def _locks_the_file(pid: int) -> bool:
    """Tell whether a process holds the lock of those who write on SQLite."""
    files = [file for file in Path(f"/proc/{pid}/fd").iterdir() if str(file.readlink()).endswith(".db.lock")]
    ours = {file.stat().st_ino for file in files}
    # As "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1886980 0 EOF"; who waits for it has "->" after the number.
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line]
    return any(int(lock[4]) == pid and int(lock[5].split(":")[-1]) in ours for lock in held)


async def _stands_in_a_transaction(installation: Installation) -> bool:
    """Tell whether a transaction stands still on PostgreSQL: one of a process that is frozen."""
    async with looking_into(installation) as database:
        if database.dialect != "postgresql":
            return False
        await asyncio.sleep(0.2)
        standing = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > interval '0.1 s'"
        )
        count: int = await database.read(lambda tx: tx.conn.execute(standing).scalar_one())
        return count > 0


def _writes(installation: Installation, pid: int) -> bool:
    """Tell whether a process that is frozen holds locks that others need. Blocks, beside any event loop."""
    if _locks_the_file(pid):
        return True
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, _stands_in_a_transaction(installation)).result()


class Ice:
    """Freezes a process and its supervisor, as a machine does that is suspended; one awake would kill it.

    Not while it writes: nobody could take from it what it has locked until it is thawed.
    Even once it is thawed it renews no lease, until the end of the context.
    """

    def __init__(self, installation: Installation, pid: int) -> None:
        self._installation = installation
        self._pid = pid
        self._supervisor = parent_of(pid)
        self._fault = f"no-renewals-{pid}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._installation.disarm(self._fault)
        self.thaw()

    def freeze(self) -> None:
        """Stop it as it is, once it writes nothing."""
        self._installation.arm(self._fault)
        os.kill(self._supervisor, signal.SIGSTOP)
        os.kill(self._pid, signal.SIGSTOP)
        while _writes(self._installation, self._pid):
            os.kill(self._pid, signal.SIGCONT)
            time.sleep(0.001)
            os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in (self._pid, self._supervisor):
            os.kill(pid, signal.SIGCONT)


def parent_of(pid: int) -> int:
    """Return the process that started this one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _logged(installation: Installation, *words: str) -> bool:
    return any(all(word in line for word in words) for line in installation.log().splitlines())


async def _taken_back(installation: Installation, load: Load) -> str | None:
    """Return the load's one delivery once nobody holds it any more."""
    async with looking_into(installation) as database:
        return await database.read(
            lambda tx: tx.conn.execute(
                select(deliveries.c.id).where(
                    deliveries.c.task_id.in_(load.ids),
                    deliveries.c.attempts == 1,
                    deliveries.c.session_id.is_(None),
                )
            ).scalar()
        )
