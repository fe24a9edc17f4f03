"""webhookd: run partners' long tasks and deliver the results as signed webhooks."""

from webhookd.taskset import Fail, Retry, TaskContext, TaskSet

__version__ = "0.1.0"

__all__ = ["Fail", "Retry", "TaskContext", "TaskSet"]
