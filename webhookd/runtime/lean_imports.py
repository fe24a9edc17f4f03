"""To be imported first by a process that serves: libraries that take others along do not.

structlog takes rich along, for tracebacks in colours: 5 MB a process. Functions of operators that use rich
import it as ever.
"""

import sys


def import_without(left_out: str, name: str) -> None:
    """Import `name` as if `left_out` were not installed; whoever wants that imports it as ever afterwards."""
    if left_out in sys.modules:
        __import__(name)
        return
    sys.modules[left_out] = None  # type: ignore[assignment]  # what makes an import say that there is none
    try:
        __import__(name)
    finally:
        del sys.modules[left_out]


import_without("rich", "structlog")
