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
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

from webhookd.core.rate import line

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
        self._changed: dict[str, HostState] = {}

    def admits(self, host: str, *, partner_id: str, proven: bool) -> bool:
        """Tell whether one more may go now, and count it. `proven`: the lane's last answer was a success."""
        state = self._state(host)
        due = line(state.tat_ms, per_second=self._rate, slack_ms=SLACK_MS, now_ms=self._now_ms)
        if not due.count:
            return False
        if host in self._hosts.braked and not proven:
            state = self._window(state)
            self._changed[host] = state
            if partner_id in state.probed:
                return False
            state = replace(state, probed=state.probed | {partner_id})
        self._changed[host] = replace(state, tat_ms=due.after(1))
        return True

    def hold_ms(self, host: str, *, proven: bool) -> int:
        """Return when a refused lane is to be looked at again: they come back one after the other."""
        state = self._state(host)
        braked = host in self._hosts.braked and not proven
        # Several fit into the slack: come back when about half of them may go, not for each one.
        free_ms = state.window_ends_ms if braked else max(state.tat_ms, self._now_ms) + SLACK_MS / 2
        hold_ms = max(float(free_ms), state.line_ms)
        self._changed[host] = replace(state, line_ms=hold_ms + 1000 / self._rate)
        return ceil(hold_ms)

    @property
    def states(self) -> dict[str, HostState]:
        """What the next claim is to be told: hosts whose time is over are forgotten."""
        now_ms = self._now_ms
        return {
            host: state
            for host, state in {**self._hosts.states, **self._changed}.items()
            if host in self._hosts.braked or max(state.tat_ms, state.line_ms) > now_ms - SLACK_MS
        }

    def _state(self, host: str) -> HostState:
        return self._changed.get(host) or self._hosts.states.get(host) or HostState()

    def _window(self, state: HostState) -> HostState:
        if self._now_ms < state.window_ends_ms:
            return state
        seconds = min(self._longest_seconds, BRAKE_LEAST_SECONDS * 2.0 ** min(state.windows, 8))
        ends_ms = self._now_ms + ceil(seconds * 1000)
        return replace(state, window_ends_ms=ends_ms, windows=state.windows + 1, probed=frozenset())


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
