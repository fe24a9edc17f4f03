"""How far a batch has come, on stderr while it is followed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from webhookd.cli.following import Tell
from webhookd.cli.screen import error_console, tell


@contextmanager
def batch_progress() -> Iterator[Tell]:
    """Show on stderr how many have ended: a bar where somebody looks, else a line for each change."""
    console = error_console()
    if not console.is_terminal:
        last = ""

        def say(batch: dict[str, Any]) -> None:
            nonlocal last
            line = f"{batch['state']} {tasks_ended(batch)}/{batch['counts']['total']}"
            if line != last:
                tell(line)
                last = line

        yield say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None, failed="")

        def show(batch: dict[str, Any]) -> None:
            counts = batch["counts"]
            failed = f"{counts['failed']} failed" if counts["failed"] else ""
            progress.update(
                bar,
                description=batch["state"],
                total=counts["total"],
                completed=tasks_ended(batch),
                failed=failed,
            )

        yield show


def tasks_left(batch: dict[str, Any]) -> int:
    """Return how many tasks of a batch have not ended."""
    counts = batch["counts"]
    return int(counts["scheduled"] + counts["queued"] + counts["running"])


def tasks_ended(batch: dict[str, Any]) -> int:
    """Return how many have."""
    return int(batch["counts"]["total"]) - tasks_left(batch)
