"""Following a task or a batch to its end: a progress bar where somebody looks, else a line a change."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from webhookd.cli.client import Api, Refused, path
from webhookd.cli.screen import error_console, printable, tell
from webhookd.core.errors import Unavailable, WebhookdError

POLL_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 30
PATIENCE_SECONDS: Final = 60.0
"""How long the API may be away, as in a restart, before following is given up."""
_LEAST_PAUSE_SECONDS: Final = 0.25

Tell = Callable[[dict[str, Any]], None]


def follow(
    api: Api, task_id: str, *, seconds: float | None, show: Tell, noun: str = "tasks"
) -> dict[str, Any]:
    """Return a task, or a batch, once it is done, or as it is after some seconds; `show` hears every change.

    Long-polls; where the API does not answer that way (a restart, a proxy in between), it asks once a second.
    Raises Refused; Unavailable where nobody answers for PATIENCE_SECONDS.
    """
    give_up_at = None if seconds is None else time.monotonic() + seconds
    task: dict[str, Any] = api.get(path(noun, task_id))
    heard_at = time.monotonic()
    holds = True
    while True:
        show(task)
        left = WAIT_SECONDS if give_up_at is None else give_up_at - time.monotonic()
        if task["done"] or left <= 0:
            return task
        asked_at = time.monotonic()
        # A whole second at least: 0 would be answered at once, over and over.
        wait = max(1, min(WAIT_SECONDS, round(left))) if holds else 0
        query = {"wait": wait, "version": task["version"]} if wait else {}
        try:
            news = api.get(path(noun, task_id), query, wait_seconds=wait)
            heard_at = time.monotonic()
        except (Refused, Unavailable) as error:
            if not _may_pass(error, held=wait > 0) or time.monotonic() - heard_at > PATIENCE_SECONDS:
                raise
            holds, news = False, task
        if news["version"] == task["version"] and not news["done"]:
            pause = _LEAST_PAUSE_SECONDS if holds else POLL_SECONDS
            time.sleep(max(0.0, pause - (time.monotonic() - asked_at)))
        task = news


def _may_pass(error: WebhookdError, *, held: bool) -> bool:
    """Whether the same question may be answered later, or (`held`) when asked without waiting."""
    if not isinstance(error, Refused):
        return True
    return error.http_status >= 500 or error.http_status == 429 or (held and error.http_status == 422)


@contextmanager
def task_progress() -> Iterator[Tell]:
    """Show a task's state and progress on stderr."""
    console = error_console()
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[message]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None, message="")

        def show(task: dict[str, Any]) -> None:
            percent = 100.0 if task["state"] == "succeeded" else task["progress"]["percent"]
            progress.update(
                bar,
                description=task["state"],
                total=None if percent is None else 100.0,
                completed=percent or 0.0,
                message=printable(task["progress"]["message"] or ""),
            )

        yield show


class _Lines:
    """A line for each change that a person would see."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, task: dict[str, Any]) -> None:
        percent, message = task["progress"]["percent"], task["progress"]["message"]
        words = [task["state"], *([] if percent is None else [f"{percent:.0f} %"]), *filter(None, [message])]
        if (line := " ".join(words)) != self._last:
            tell(line)
            self._last = line
