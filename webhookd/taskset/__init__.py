"""The operator's side: declare task functions, and find the declared ones again.

Here is what an operator's module imports. Nothing here runs a function; `adapters.runner` does.
"""

from webhookd.taskset.context import Cancelled, Fail, Retry, TaskContext, TaskPartner
from webhookd.taskset.declared import TaskSet
from webhookd.taskset.definition import Isolation, TaskDefinition
from webhookd.taskset.file import File
from webhookd.taskset.loading import load_task_sets

__all__ = [
    "Cancelled",
    "Fail",
    "File",
    "Isolation",
    "Retry",
    "TaskContext",
    "TaskDefinition",
    "TaskPartner",
    "TaskSet",
    "load_task_sets",
]
