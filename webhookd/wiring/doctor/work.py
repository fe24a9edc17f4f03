"""The work itself: who holds it, what waits for whom, what is held back, what was given up."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from webhookd.adapters.store.counters import read_depths, read_partner_queued
from webhookd.adapters.store.upkeep import diagnostics
from webhookd.core.diagnosis import Finding, judge_dead_letters, judge_queued, ok, problem, warning
from webhookd.core.errors import SettingsError
from webhookd.core.records import QueueDepth
from webhookd.wiring.doctor.installation import Absent, Installation

SHOWN: Final = 5
LATE_SECONDS: Final = 900
FAILING_SECONDS: Final = 3_600
_SWEEP_SECONDS: Final = 3.0


async def leases(installation: Installation) -> Sequence[Finding]:
    """Look for work that ended processes hold, and that no sweep takes back."""
    db = await installation.database()
    found = await db.read(diagnostics.sessions_not_taken_back, installation.now_ms())
    if found:
        # A process may have ended just now; sweeps come every second.
        await asyncio.sleep(max(_SWEEP_SECONDS, 2 * installation.settings.sweep_seconds))
        found = await db.read(diagnostics.sessions_not_taken_back, installation.now_ms())
    if not found:
        return [ok("No ended process holds any work.")]
    held = _some(
        f"{one.kind} process {one.pid} on {one.host} ({one.tasks:,} tasks, {one.deliveries:,} deliveries)"
        for one in found
    )
    return [
        problem(
            f"Ended processes still hold work, and nobody takes it back: {held}.",
            "Every worker does so each second: start one (`webhookd worker`, or `webhookd up`), or look at "
            "the log of those that run.",
        )
    ]


async def queues(installation: Installation) -> Sequence[Finding]:
    """Look for queues that are paused, late, or that nobody listens to."""
    db = await installation.database()
    depths = await db.read(read_depths)
    sessions = await installation.sessions()
    heard = {queue for one in sessions for queue in one["detail"].get("queues", ())}
    now_ms = installation.now_ms()
    judged = [_judge(depth, heard, now_ms, alive=bool(sessions)) for depth in depths if depth.queued]
    waiting = sum((await db.read(read_partner_queued)).values())
    total = judge_queued(waiting, installation.settings.max_queued)
    return [*(finding for finding in judged if finding is not None), total]


def _judge(depth: QueueDepth, heard: set[str], now_ms: int, *, alive: bool) -> Finding | None:
    name = depth.queue
    age_seconds = 0.0 if depth.oldest_queued_ms is None else (now_ms - depth.oldest_queued_ms) / 1000
    backlog = f"{depth.queued:,} tasks wait in the queue {name}, the oldest for {_span(age_seconds)}"
    if depth.paused:
        return warning(
            f"{backlog}; it is paused.", f"`webhookd queues resume {name}`, when its work may go on."
        )
    if alive and name not in heard:
        return problem(
            f"{backlog}; no worker takes from it.",
            f"Start `webhookd worker --queues {name}`, or add it to those of a worker.",
        )
    if age_seconds > LATE_SECONDS:
        return warning(
            f"{backlog}.",
            "`webhookd queues` shows how fast it goes and how many workers are wanted: run more, with more "
            "--processes or --threads.",
        )
    return None


async def task_types(installation: Installation) -> Sequence[Finding]:
    """Look for tasks of types that nobody here runs."""
    try:
        known = await installation.task_types()
    except (SettingsError, TimeoutError):
        raise Absent("the task sets") from None
    db = await installation.database()
    unknown = {
        name: count for name, count in (await db.read(diagnostics.waiting_types)).items() if name not in known
    }
    if not unknown:
        return [ok("Every task that waits is of a type WEBHOOKD_TASKS has.")]
    listed = _some(f"{count:,} of {name}" for name, count in sorted(unknown.items()))
    return [
        problem(
            f"Tasks wait whose type no task set has: {listed}. They are not run.",
            "Add the module to WEBHOOKD_TASKS (now "
            + installation.settings.tasks
            + ") and restart the workers; or cancel "
            "them: `webhookd tasks list --type TYPE`, `webhookd tasks cancel ID`.",
        )
    ]


async def endpoints(installation: Installation) -> Sequence[Finding]:
    """Look for endpoints that are disabled while deliveries wait, that fail, or whose breaker is open."""
    db = await installation.database()
    ailing = await db.read(diagnostics.ailing_endpoints)
    open_lanes = await db.read(diagnostics.open_breakers)
    now_ms = installation.now_ms()
    findings = []
    if parked := [one for one in ailing if one.parked]:
        listed = _some(
            f"{one.id} at {_host(one.url)} ({one.disabled_reason or 'by hand'}): {one.parked:,}"
            for one in parked
        )
        findings.append(
            warning(
                f"Disabled endpoints hold deliveries back: {listed}.",
                "When the receiver works again, `webhookd endpoints enable ID` delivers them.",
            )
        )
    failing = [
        one
        for one in ailing
        if not one.disabled
        and one.failing_since_ms is not None
        and now_ms - one.failing_since_ms > FAILING_SECONDS * 1000
    ]
    if failing:
        listed = _some(
            f"{one.id} at {_host(one.url)} for {_span((now_ms - (one.failing_since_ms or 0)) / 1000)}"
            for one in failing
        )
        findings.append(
            warning(
                f"Endpoints fail without one success: {listed}. After WEBHOOKD_DISABLE_AFTER_SECONDS they "
                "are disabled.",
                "`webhookd endpoints test ID`, then `webhookd deliveries get` of what it made shows the "
                "answer; tell the partner.",
            )
        )
    if open_lanes:
        findings.append(
            warning(
                f"Circuit breakers hold deliveries back, after ten failures in a row: {_some(open_lanes)}.",
                "They let a probe through by themselves. `webhookd deliveries list --endpoint ID` shows the "
                "errors.",
            )
        )
    return findings or [ok("No endpoint is disabled with deliveries waiting, and none fails for long.")]


async def dead_letters(installation: Installation) -> Sequence[Finding]:
    """Look how many dead letters nobody has acted on."""
    db = await installation.database()
    found = await db.read(diagnostics.dead_letters, installation.now_ms())
    return [judge_dead_letters(found.total, found.last_day)]


def _some(parts: Iterable[str]) -> str:
    """Return the first of them, and how many more there are."""
    every = list(parts)
    more = f", and {len(every) - SHOWN:,} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _host(url: str) -> str:
    """Return where it is, without a path or query that may hold a secret."""
    return urlsplit(url).netloc


def _span(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"
