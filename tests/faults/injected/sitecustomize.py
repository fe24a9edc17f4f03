"""Loaded by every Python process the fault tests start, through PYTHONPATH; see `tests.faults.injection`."""

import os

if "FAULT_DIR" in os.environ:
    from tests.faults import injection

    injection.install()
