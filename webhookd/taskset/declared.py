"""`TaskSet`: the decorator that declares a task type, and the set of those declared.

Everything that can be wrong with a declaration is said where it is made, at import: a worker that
starts is a worker whose types are sound.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from webhookd.taskset.actors import DramatiqActor, actor_task
from webhookd.taskset.definition import Isolation, TaskDefinition
from webhookd.taskset.lifespan import Lifespan, LifespanFunction
from webhookd.taskset.signature import input_of, output_schema

MAX_TYPE_CHARS: Final = 100
MAX_TIMEOUT_SECONDS: Final = 7 * 24 * 3600.0
MAX_ATTEMPTS: Final = 100
# Address space, not use: a bare interpreter with its threads and libraries maps some 400 MB of it.
MIN_MEMORY_MB: Final = 512
# The queue of the deliveries themselves: operator code and delivery never share a process.
RESERVED_QUEUES: Final = frozenset({"deliver"})

_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_QUEUE = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_RATE = re.compile(r"(?P<count>[0-9]{1,9}(\.[0-9]{1,6})?)/(?P<unit>[smh])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}

Function = TypeVar("Function", bound=Callable[..., Any])
AnyActor = TypeVar("AnyActor", bound=DramatiqActor)


class TaskSet:
    """Task types by name, in the order they were declared.

    `lifespan` is an async context manager, called with this set: it is entered once in each process that runs
    its tasks, and what it gives is `ctx.state`.
    """

    def __init__(self, *, lifespan: LifespanFunction | None = None) -> None:
        self._lifespan = None if lifespan is None else Lifespan(lifespan, self)
        self._definitions: dict[str, TaskDefinition] = {}

    @classmethod
    def merge(cls, *task_sets: "TaskSet") -> "TaskSet":
        """Return one set with the types of all. Raises ValueError where two declare the same type."""
        merged = cls()
        for task_set in task_sets:
            for definition in task_set:
                merged._add(definition)
        return merged

    def task(
        self,
        type: str,  # noqa: A002 -- the contract's word for it
        *,
        queue: str = "default",
        timeout: float = 300.0,
        max_attempts: int = 3,
        concurrency: int | None = None,
        rate: str | None = None,
        isolation: Isolation = "thread",
        memory_mb: int | None = None,
        max_runs: int | None = None,
        retry_base_seconds: float = 1.0,
        retry_factor: float = 4.0,
        expose_errors: bool = False,
        expose_logs: bool = False,
        output: Any = None,
    ) -> Callable[[Function], Function]:
        """Declare a function as the task type `type`; the function itself stays as it is.

        `timeout` is in seconds. `rate` is how often the type may start: `"10/s"`, `"90/m"`, `"500/h"`,
        spread evenly. `isolation="process"` runs each call in a warm child process, which can be killed at
        its time limit and may crash alone; `memory_mb` then limits its address space, and after `max_runs`
        it is replaced.
        `expose_errors` tells the partner the text of any exception, `expose_logs` what a run logged; without
        them only `Fail` and `Retry` reach it. `output` is a type that pydantic can describe: its JSON Schema
        is published as the result's.
        Raises ValueError for a value and TypeError for a function that will not do; both say the fix.
        """
        _check(
            f"task type {type!r}",
            (
                (
                    len(type) <= MAX_TYPE_CHARS and _TYPE.fullmatch(type) is not None,
                    f"lower-case words with dots between (a.b), at most {MAX_TYPE_CHARS} characters",
                ),
                (
                    _QUEUE.fullmatch(queue) is not None and queue not in RESERVED_QUEUES,
                    f"queue={queue!r}: a queue is a lower-case word of at most 50 characters, and not one of "
                    + ", ".join(sorted(RESERVED_QUEUES)),
                ),
                (
                    _is_number(timeout) and 0 < timeout <= MAX_TIMEOUT_SECONDS,
                    f"timeout={timeout!r}: seconds, more than 0 and at most {MAX_TIMEOUT_SECONDS:.0f}",
                ),
                (
                    _is_count(max_attempts) and max_attempts <= MAX_ATTEMPTS,
                    f"max_attempts={max_attempts!r}: a whole number from 1 to {MAX_ATTEMPTS}",
                ),
                (
                    concurrency is None or _is_count(concurrency),
                    f"concurrency={concurrency!r}: a whole number from 1, or None for no limit",
                ),
                (
                    isolation in ("thread", "process"),
                    f'isolation={isolation!r}: "thread" or "process"',
                ),
                (
                    memory_mb is None
                    or (_is_count(memory_mb) and memory_mb >= MIN_MEMORY_MB and isolation == "process"),
                    f"memory_mb={memory_mb!r}: from {MIN_MEMORY_MB}, and only with isolation='process'",
                ),
                (
                    max_runs is None or (_is_count(max_runs) and isolation == "process"),
                    f"max_runs={max_runs!r}: a whole number from 1, and only with isolation='process'",
                ),
                (
                    _is_number(retry_base_seconds) and retry_base_seconds >= 0,
                    f"retry_base_seconds={retry_base_seconds!r}: seconds, 0 or more",
                ),
                (
                    _is_number(retry_factor) and retry_factor >= 1,
                    f"retry_factor={retry_factor!r}: a number, 1 or more",
                ),
            ),
        )
        rate_per_second = _rate_per_second(type, rate)
        result_schema = output_schema(type, output)

        def declare(function: Function) -> Function:
            declared_input = input_of(type, function)
            self._add(
                TaskDefinition(
                    type=type,
                    description=_first_paragraph(function),
                    function=function,
                    is_async=declared_input.is_async,
                    queue=queue,
                    timeout_seconds=float(timeout),
                    max_attempts=max_attempts,
                    concurrency=concurrency,
                    rate_per_second=rate_per_second,
                    isolation=isolation,
                    memory_mb=memory_mb,
                    retry_base_seconds=float(retry_base_seconds),
                    retry_factor=float(retry_factor),
                    input_adapter=declared_input.adapter,
                    schema=declared_input.schema,
                    expose_errors=expose_errors,
                    expose_logs=expose_logs,
                    max_runs=max_runs,
                    lifespan=self._lifespan,
                    result_schema=result_schema,
                )
            )
            return function

        return declare

    def add_actor(self, actor: AnyActor, *, type: str | None = None, **options: Any) -> AnyActor:  # noqa: A002 -- as above
        """Make a Dramatiq actor a type, called as the actor unless `type` says otherwise; return the actor.

        Its parameters are the members of the input. Time limit, tries, pauses and queue are the actor's, or
        its broker's middleware's; `options` are those of `task` and go first. Raises as `task` does.
        """
        read = actor_task(actor)
        self.task(type or read.type, **{**read.options, **options})(read.function)
        return actor

    def get(self, type: str) -> TaskDefinition | None:  # noqa: A002 -- the contract's word for it
        """The definition of a type, or None."""
        return self._definitions.get(type)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues the types are on, sorted."""
        return tuple(sorted({definition.queue for definition in self}))

    def __iter__(self) -> Iterator[TaskDefinition]:
        return iter(self._definitions.values())

    def __len__(self) -> int:
        return len(self._definitions)

    def __contains__(self, type: object) -> bool:  # noqa: A002 -- as above
        return type in self._definitions

    def __getitem__(self, type: str) -> TaskDefinition:  # noqa: A002 -- as above
        return self._definitions[type]

    def _add(self, definition: TaskDefinition) -> None:
        known = self._definitions.get(definition.type)
        if known is not None:
            raise ValueError(
                f"task type {definition.type!r} is declared twice: "
                f"by {_place(known.function)} and by {_place(definition.function)}"
            )
        self._definitions[definition.type] = definition


def _check(subject: str, rules: tuple[tuple[bool, str], ...]) -> None:
    for holds, rule in rules:
        if not holds:
            raise ValueError(f"{subject}: {rule}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _rate_per_second(type: str, rate: str | None) -> float | None:  # noqa: A002 -- as above
    if rate is None:
        return None
    match = _RATE.fullmatch(rate)
    if match is None or float(match["count"]) == 0:
        raise ValueError(f'task type {type!r}: rate={rate!r}: write it as "10/s", "90/m" or "500/h"')
    return float(match["count"]) / _UNIT_SECONDS[match["unit"]]


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def _place(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
