"""How hard one host may be driven over all partners, so that nobody can aim this service at anyone.

A lane's pace is the receiver's and its partner's business; a host may have a thousand lanes. Two things are
kept per host (name and port): a rate, and a brake. The brake is on after BRAKE_FAILURES failures in a row
over all lanes, until one success. While it is on, a lane whose last answer was a success goes on as it
did, so that a partner whose endpoint works is not held up by another's that does not; of the rest each
partner may send one delivery a window, and windows grow from BRAKE_LEAST_SECONDS to BRAKE_MOST_SECONDS (or
the retry cap, where that is less).

What is held back here uses up no attempts: it is not claimed, its lane is looked at again later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from webhookd.core.rate import Starts, line

BRAKE_FAILURES: Final = 20
BRAKE_LEAST_SECONDS: Final = 5.0
BRAKE_MOST_SECONDS: Final = 30.0
KEPT_HOSTS: Final = 4_096
SLACK_MS: Final = 100.0
"""What a turn that comes late may make up for: at 500 a second, 50 at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What claims remember of a host.

    `tat_ms` is the theoretical time of the next attempt (`pacing.rate_hold`), `line_ms` when the last of
    those held back may go. `window_ends_ms`, `windows` and `probed` (partners) are the brake's.
    """

    tat_ms: float = 0.0
    line_ms: float = 0.0
    window_ends_ms: int = 0
    windows: int = 0
    probed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """What a claim is told of the hosts: what earlier claims left, and which of them are `braked`."""

    states: Mapping[str, HostState] = field(default_factory=dict)
    braked: frozenset[str] = frozenset()


def host_of(url: str) -> str:
    """Return the host and port of a canonical URL."""
    return url.split("/", 3)[2]


@dataclass(slots=True)
class _Gate:
    """One host during one claim: what may start now, how much of it has, and the state it goes on from."""

    due: Starts
    before: HostState
    line_ms: float
    window_ends_ms: int
    windows: int
    probed: set[str]
    taken: int = 0

    @property
    def tat_ms(self) -> float:
        return self.due.after(self.taken) if self.taken else self.before.tat_ms

    @property
    def state(self) -> HostState:
        return HostState(
            tat_ms=self.tat_ms,
            line_ms=self.line_ms,
            window_ends_ms=self.window_ends_ms,
            windows=self.windows,
            probed=frozenset(self.probed),
        )


class HostGate:
    """Admits the deliveries of one claim, one by one, and says when those it refused may be looked at."""

    def __init__(
        self,
        hosts: Hosts,
        *,
        rate_per_second: float,
        now_ms: int,
        longest_window_seconds: float = BRAKE_MOST_SECONDS,
    ) -> None:
        self._hosts = hosts
        self._longest_seconds = max(BRAKE_LEAST_SECONDS, min(BRAKE_MOST_SECONDS, longest_window_seconds))
        self._rate = rate_per_second
        self._now_ms = now_ms
        self._gates: dict[str, _Gate] = {}

    def admits(self, host: str, *, partner_id: str, proven: bool) -> bool:
        """Tell whether one more may go now, and count it. `proven`: the lane's last answer was a success."""
        gate = self._gates.get(host) or self._look(host)
        if gate.taken >= gate.due.count:
            return False
        if not proven and host in self._hosts.braked:
            self._open_window(gate)
            if partner_id in gate.probed:
                return False
            gate.probed.add(partner_id)
        gate.taken += 1
        return True

    def hold_ms(self, host: str, *, proven: bool) -> int:
        """Return when a refused lane is to be looked at again: they come back one after the other."""
        gate = self._gates.get(host) or self._look(host)
        braked = host in self._hosts.braked and not proven
        # Several fit into the slack: come back when about half of them may go, not for each one.
        free_ms = gate.window_ends_ms if braked else max(gate.tat_ms, self._now_ms) + SLACK_MS / 2
        hold_ms = max(float(free_ms), gate.line_ms)
        gate.line_ms = hold_ms + 1000 / self._rate
        return ceil(hold_ms)

    @property
    def states(self) -> dict[str, HostState]:
        """What the next claim is to be told: hosts whose time is over are forgotten."""
        now_ms = self._now_ms
        looked_at = {host: gate.state for host, gate in self._gates.items()}
        return {
            host: state
            for host, state in {**self._hosts.states, **looked_at}.items()
            if host in self._hosts.braked or max(state.tat_ms, state.line_ms) > now_ms - SLACK_MS
        }

    def _look(self, host: str) -> _Gate:
        state = self._hosts.states.get(host) or HostState()
        gate = self._gates[host] = _Gate(
            due=line(state.tat_ms, per_second=self._rate, slack_ms=SLACK_MS, now_ms=self._now_ms),
            before=state,
            line_ms=state.line_ms,
            window_ends_ms=state.window_ends_ms,
            windows=state.windows,
            probed=set(state.probed),
        )
        return gate

    def _open_window(self, gate: _Gate) -> None:
        if self._now_ms < gate.window_ends_ms:
            return
        seconds = min(self._longest_seconds, BRAKE_LEAST_SECONDS * 2.0 ** min(gate.windows, 8))
        gate.window_ends_ms = self._now_ms + ceil(seconds * 1000)
        gate.windows += 1
        gate.probed.clear()


class HostFailures:
    """Counts failures in a row by host, over all lanes of this process."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._braked: set[str] = set()

    def failed(self, host: str) -> None:
        """One more."""
        self._failures[host] = self._failures.pop(host, 0) + 1
        if len(self._failures) > KEPT_HOSTS:
            longest_ago = next(iter(self._failures))
            del self._failures[longest_ago]
            self._braked.discard(longest_ago)
        if self._failures[host] >= BRAKE_FAILURES:
            self._braked.add(host)

    def succeeded(self, host: str) -> None:
        """The host is well."""
        if self._failures.pop(host, 0):
            self._braked.discard(host)

    @property
    def braked(self) -> frozenset[str]:
        """The hosts whose brake is on."""
        return frozenset(self._braked)
