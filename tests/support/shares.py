"""Which tests `pytest -n --dist loadscope` runs in one process, and which of these shares begin first.

What tests start together and leave running (a service, a browser, the proxies) is started once if one
process runs them all. Other tests stay with their module, whose fixtures they share.
"""

import re
from typing import Final

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# What a row matches of a test's id names its share; rows above begin before those below: the longest first.
ROWS: Final = (
    r"tests/browser/(?=test_walks)",  # has a service of its own
    r"tests/blackbox/(?=.*\[up on SQLite)",
    r"tests/blackbox/",
    r"tests/browser/",
    r"tests/proxies/",
    r"tests/clients/",
    r"tests/cli/[^:]+",
    r"[^:]*",
)
_SHARES: Final = tuple(map(re.compile, ROWS))


def share(test: str) -> tuple[int, str]:
    """Return the place of a test's share among all, and its name."""
    return next(
        (place, found[0]) for place, row in enumerate(_SHARES) if (found := row.match(test)) is not None
    )


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Of shares in one place those with the most tests begin first."""

    def _split_scope(self, nodeid: str) -> str:
        place, name = share(nodeid)
        return f"{place} {name}"

    def _assign_work_unit(self, node: WorkerController) -> None:
        first = min(self.workqueue, key=lambda name: int(name.partition(" ")[0]))
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        # A process that still has two tests would let a new share wait for the longer of them.
        if self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
