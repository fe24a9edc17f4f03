"""webhookd: run partners' long tasks and deliver the results as signed webhooks.

The names below are loaded when they are first used: `webhookd.client` needs none of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhookd.taskset import Fail, File, Retry, TaskContext, TaskSet

__version__ = "0.1.0"

__all__ = ["Fail", "File", "Retry", "TaskContext", "TaskSet"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'webhookd' has no attribute '{name}'")
    from webhookd import taskset

    return getattr(taskset, name)
