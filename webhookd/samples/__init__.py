"""The task types that ship: small, and each does real work, so that a new installation has some.

`tasks` are all of them; `work` leaves out `demo.*`, which partners of a real installation have no use for.
Models of how to write one, too. Libraries that take long to import are imported inside the functions:
the API loads these modules for their schemas only.
"""

from webhookd.samples import csv_summary, csv_totals, demo, statement, thumbnail
from webhookd.taskset import TaskSet

work = TaskSet.merge(statement.tasks, thumbnail.tasks, csv_summary.tasks, csv_totals.tasks)
tasks = TaskSet.merge(demo.tasks, work)

__all__ = ["tasks", "work"]
