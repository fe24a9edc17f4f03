"""Functions that take their process along: they end as dead letters, and everybody else's work is done."""

import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import partner_under_load
from tests.faults.site import Site

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CRASHES = ("poison.segfault", "poison.exit", "poison.memory")
FENCED = ("fenced.segfault", "fenced.memory")
INNOCENTS = 24


async def test_poison_is_quarantined_and_innocent_tasks_finish(up: Site) -> None:
    installation = up.installation
    async with partner_under_load(installation, "poison") as (load, receiver):
        innocents = range(INNOCENTS)
        await load.submit_many(innocents)
        poisoned = {
            kind: await load.submit(100 + number, {"type": kind, "callback_url": load.callback_url})
            for number, kind in enumerate((*CRASHES, *FENCED))
        }
        await settled(installation)
        await verify(installation, [load], receiver.hits)
        async with installation.client(load.key) as client:
            letters = (await client.get("/v1/dead-letters", params={"kind": "task"})).json()["data"]
            states = {
                number: (await client.get(f"/v1/tasks/{load.accepted[number]}")).json()["state"]
                for number in innocents
            }
            after = await client.post("/v1/tasks", json={"type": "demo.echo"}, headers={"Prefer": "wait=20"})
        assert set(states.values()) == {"succeeded"}
        reasons = {letter["id"]: letter["reason"] for letter in letters}
        assert set(reasons) == set(poisoned.values())
        assert {reasons[poisoned[kind]] for kind in (*CRASHES, "fenced.segfault")} == {"worker_crashed"}
        assert reasons[poisoned["fenced.memory"]] == "task_failed", "it was refused the memory, and lived"
        assert after.json()["state"] == "succeeded"
