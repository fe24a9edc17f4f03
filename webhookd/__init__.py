"""webhookd: run partners' long tasks and deliver the results as signed webhooks."""

from webhookd.taskset import Fail, Retry, TaskContext, TaskSet

__all__ = ["Fail", "Retry", "TaskContext", "TaskSet"]
