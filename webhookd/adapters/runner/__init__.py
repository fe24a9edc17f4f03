"""Runs operators' task functions: in threads, on an event loop of their own, or in child processes.

Operator code never runs on the worker's own loop, so it may block or spin as it likes and leases are
still renewed. Which task is run, and what its end leads to, is decided elsewhere.
"""

import webhookd.runtime.lean_imports  # noqa: F401 - before structlog, in a child too

# isort: split
from webhookd.adapters.runner.runner import Runner

__all__ = ["Runner"]
