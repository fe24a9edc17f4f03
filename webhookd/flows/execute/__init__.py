"""Running tasks: `executor` claims and runs, `run_writer` writes what comes of it."""

from webhookd.flows.execute.executor import Executor

__all__ = ["Executor"]
