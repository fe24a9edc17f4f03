"""What processes use, read from /proc: processor time, context switches, memory; by process and by thread.

Times are the scheduler's own (`schedstat`, in ns), not ticks: a task costs less than one.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROLES = {
    "webhookd.asgi": "api",
    "worker tasks": "tasks",
    "worker deliver": "deliver",
    "valkey-server": "broker",
    "postgres": "postgresql",
    "benchmarks.bare": "bare",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Totals since the start of the processes. Keys of the counters are (role, thread)."""

    cpu_ns: Counter[tuple[str, str]]
    switches: Counter[tuple[str, str]]

    def __sub__(self, before: "Usage") -> "Usage":
        return Usage(cpu_ns=self.cpu_ns - before.cpu_ns, switches=self.switches - before.switches)

    @property
    def cpu_ms(self) -> float:
        """The processor time of all."""
        return self.cpu_ns.total() / 1e6

    def by_role(self) -> dict[str, float]:
        """Return ms of processor time by role, most first."""
        roles: Counter[str] = Counter()
        for (role, _), ns in self.cpu_ns.items():
            roles[role] += ns
        return {role: ns / 1e6 for role, ns in roles.most_common()}


def usage(*roots: int) -> Usage:
    """Read what the processes below `roots` have used, those that are left of them."""
    cpu_ns: Counter[tuple[str, str]] = Counter()
    switches: Counter[tuple[str, str]] = Counter()
    for pid in family(*roots):
        role = _role(pid)
        for thread in _threads(pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name = (thread / "comm").read_text().strip() if int(thread.name) != pid else "main"
                cpu_ns[role, name] += int((thread / "schedstat").read_text().split()[0])
                switches[role, name] += _switches(thread)
    return Usage(cpu_ns=cpu_ns, switches=switches)


def memory_mb(*roots: int) -> dict[str, float]:
    """Return the proportional set size by role: shared pages count by their share."""
    roles: Counter[str] = Counter()
    for pid in family(*roots):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            roles[_role(pid)] += int(next(line for line in rollup if line.startswith("Pss:")).split()[1])
    return {role: kb / 1024 for role, kb in roles.most_common()}


def family(*roots: int) -> list[int]:
    """Return `roots` and all that they, and what they started, have started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = (entry / "stat").read_text().rsplit(") ", 1)[1].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found, unseen = [], list(roots)
    while unseen:
        pid = unseen.pop()
        found.append(pid)
        unseen += children.get(pid, ())
    return found


def _threads(pid: int) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield from Path(f"/proc/{pid}/task").iterdir()


def _role(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return next((role for sign, role in _ROLES.items() if sign in words), "up")
    return "gone"


def _switches(thread: Path) -> int:
    lines = (thread / "status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
