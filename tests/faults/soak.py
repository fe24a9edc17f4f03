"""Soak: load and random faults for minutes on end, then every invariant is checked.

`python -m tests.faults.soak --seed N --minutes M --store sqlite|postgresql`. The same seed gives the same
faults in the same order; what they meet is up to the machine. Exits with 1, naming the seed, when an
invariant is broken.
"""

import argparse
import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.invariants import Tally, settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.schedule import PROCESSES, SERVICES, Entry, choose
from tests.faults.site import PER_HOST, Site, postgres_site, sqlite_site
from webhookd.cli.receiver import Hit, Reaction, Receiver

PARTNERS = 3
SETTLE_SECONDS = 180.0
POISON = ("poison.segfault", "poison.gil", "poison.exit", "fault.fork", "fenced.segfault")


class Moody(Receiver):
    """Answers one request in five with an error, so that retries are under way at all times."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.on_hit = self._next_mood

    def _next_mood(self, _hit: Hit) -> None:
        self.reply = Reaction(status=self._chance.choice((200, 200, 200, 200, 500)))


@dataclass(slots=True, kw_only=True)
class Strikes:
    """Hurts a site until `ends`. Knows what has struck so far, and how many duplicates that excuses."""

    site: Site
    store: str
    ends: float
    count: Counter[str] = field(default_factory=Counter)
    excused: int = 0

    async def strike(self, entries: Sequence[Entry], chance: random.Random) -> None:
        """Let one of these strike after the other."""
        while time.monotonic() < self.ends:
            entry = choose(entries, self.store, chance)
            print(f"{self.ends - time.monotonic():7.1f} s left: {_name(entry)}", flush=True)
            self.count[_name(entry)] += 1
            self.excused += PARTNERS * PER_HOST if entry.doubles else 0
            await entry.fault(self.site, chance)
            await asyncio.sleep(chance.uniform(0, 5))


async def soak(site: Site, *, store: str, seed: int, minutes: float) -> tuple[Tally, Strikes]:
    """Hurt the site for so long. Return what came of the load, and what struck."""
    strikes = Strikes(site=site, store=store, ends=time.monotonic() + 60 * minutes)
    async with AsyncExitStack() as stack:
        under_load = [
            await stack.enter_async_context(
                partner_under_load(site.installation, "soak", receiver=Moody(random.Random(seed + number)))
            )
            for number in range(PARTNERS)
        ]
        loads = [load for load, _ in under_load]
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(_submit_until(load, strikes.ends))
            for name, entries in (("processes", PROCESSES), ("services", SERVICES)):
                group.create_task(strikes.strike(entries, random.Random(f"{seed} {name}")))
        site.heal()
        for name in ("kill-after-submit", "kill-before-record"):
            site.installation.disarm(name)
        await site.installation.ready(tasks=2)
        await settled(site.installation, seconds=SETTLE_SECONDS)
        hits = [hit for _, receiver in under_load for hit in receiver.hits]
        return await verify(site.installation, loads, hits, most_duplicates=strikes.excused), strikes


def _name(entry: Entry) -> str:
    return str(getattr(entry.fault, "__name__", entry.fault))


async def _submit_until(load: Load, ends: float) -> None:
    for start in itertools.count(step=5):
        if time.monotonic() >= ends:
            return
        if start % 200 == 100:
            kind = POISON[start // 200 % len(POISON)]
            poison: dict[str, Any] = {"type": kind, "callback_url": load.callback_url}
            await load.submit(1_000_000 + start, poison)
        if start % 50 == 25:
            await load.submit_batch(2_000_000 + start * 10, 10)
        await load.submit_many(range(start, start + 5), over_seconds=1)


def main() -> int:
    """Run one soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a good run too")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="webhookd-soak-"))
    make = sqlite_site if asked.store == "sqlite" else postgres_site
    try:
        with make(folder) as site:
            tally, strikes = asyncio.run(
                soak(site, store=asked.store, seed=asked.seed, minutes=asked.minutes)
            )
    except (AssertionError, BaseExceptionGroup):
        traceback.print_exc()
        print(f"soak: BROKEN on {asked.store} with --seed {asked.seed}; logs in {folder}", file=sys.stderr)
        return 1
    if not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    kills = sum(strikes.count[_name(entry)] for entry in PROCESSES)
    print(
        f"soak: {asked.store}, seed {asked.seed}, {asked.minutes:g} min: accepted {tally.accepted}, "
        f"delivered {tally.delivered}, dead {tally.dead}, duplicates {tally.duplicates}, "
        f"kills {kills}, other faults {strikes.count.total() - kills}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
