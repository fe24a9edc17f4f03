"""`python -m tests.benchmarks.unplanned MODULE …`: a module of ours, its PostgreSQL planning as it likes.

What the figures of `fresh` are compared with.
"""

import runpy
import sys

from webhookd.adapters.store.drivers import server

if __name__ == "__main__":
    server.PLANNER.clear()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
