"""The table of checks, and running them: side by side, each on its own, none longer than CHECK_SECONDS."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from webhookd.adapters.store.drivers.faults import reason_of
from webhookd.core.diagnosis import Finding, Level, problem, warning
from webhookd.core.errors import StoreFault, Unavailable, WebhookdError
from webhookd.settings import Settings
from webhookd.wiring.doctor import configured, machine, services, work
from webhookd.wiring.doctor.installation import Absent, Installation

CHECK_SECONDS: Final = 10.0

Look = Callable[[Installation], Awaitable[Sequence[Finding]]]

CHECKS: Final[tuple[tuple[str, Look], ...]] = (
    ("settings", configured.names),
    ("admin key", configured.admin_key),
    ("encryption keys", configured.encryption_keys),
    ("task sets", configured.task_sets),
    ("egress", configured.egress),
    ("files", machine.files),
    ("disk", machine.disk),
    ("open files", machine.open_files),
    ("database", services.database),
    ("durability", services.durability),
    ("broker", services.broker),
    ("clocks", services.clocks),
    ("processes", machine.processes),
    ("leases", work.leases),
    ("api", machine.api),
    ("queues", work.queues),
    ("task types", work.task_types),
    ("endpoints", work.endpoints),
    ("dead letters", work.dead_letters),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One finding, and the check that made it."""

    check: str
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, in the order of the table. `skipped` are the checks whose part is not there, by part.

    `hung`: something never answered, and a thread may still wait for it.
    """

    examined: tuple[Examined, ...]
    skipped: tuple[tuple[str, str], ...]
    hung: bool

    def count(self, level: Level) -> int:
        """Return how many findings are of this level."""
        return sum(one.finding.level is level for one in self.examined)


async def diagnose(settings: Settings) -> Diagnosis:
    """Run every check. Never raises for what is wrong with the installation."""
    async with Installation(settings) as installation:
        results = await asyncio.gather(*(_examine(name, look, installation) for name, look in CHECKS))
    examined: list[Examined] = []
    skipped: list[tuple[str, str]] = []
    for (name, _), result in zip(CHECKS, results, strict=True):
        if isinstance(result, Absent):
            skipped.append((name, str(result)))
        else:
            examined.extend(Examined(check=name, finding=finding) for finding in result)
    return Diagnosis(examined=tuple(examined), skipped=tuple(skipped), hung=installation.hung)


async def _examine(name: str, look: Look, installation: Installation) -> Sequence[Finding] | Absent:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await look(installation)
    except Absent as absent:
        return absent
    except TimeoutError:
        installation.hung = True
        return [
            problem(
                f"No answer within {CHECK_SECONDS:.0f} s.",
                "Whatever this looks at hangs: see that it answers, then run this again.",
            )
        ]
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide what the others find
        reason = error.detail if isinstance(error, WebhookdError) else f"{type(error).__name__}: {error}"
        if error.__cause__ is not None or isinstance(error, Unavailable | StoreFault):
            reason = f"{reason.rstrip('.')} ({reason_of(error)})"
        return [
            warning(f"The check of {name} could not be made: {reason}", "Mend that, then run this again.")
        ]
