"""The task types that an API takes tasks of: its own, and those that workers have published."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from webhookd.runtime.every import every
from webhookd.runtime.outage import Outage
from webhookd.taskset.known import PublishedType, TaskType, TaskTypes

REFRESH_SECONDS: Final = 2.0


class KnownTypes:
    """Both together; where a name is in both, its own counts, which checks more. `run` keeps it fresh."""

    def __init__(self, own: TaskTypes, read: Callable[[], Awaitable[Sequence[PublishedType]]]) -> None:
        self._own = own
        self._read = read
        self._published: dict[str, PublishedType] = {}

    async def refresh(self) -> None:
        """Look at what is published now."""
        known = self._published
        # A type that is as it was stays the same object, with its schema made ready.
        self._published = {
            one.type: known[one.type] if known.get(one.type) == one else one for one in await self._read()
        }

    async def run(self) -> None:
        """Keep it fresh until cancelled."""
        await every(REFRESH_SECONDS, self.refresh, outage=Outage("task_types", "the database"))

    def get(self, type: str) -> TaskType | None:  # noqa: A002 -- the contract's word for it
        """Return a type, or None."""
        return self._own.get(type) or self._published.get(type)

    def __iter__(self) -> Iterator[TaskType]:
        yield from self._own
        yield from (one for one in self._published.values() if self._own.get(one.type) is None)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of all, sorted."""
        return tuple(sorted({one.queue for one in self}))
