"""To be imported first by a process that serves: structlog takes rich along where it finds it.

That is 5 MB a process, for tracebacks in colours. Functions of operators that use rich import it as ever.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what makes an import say that there is none
    import structlog  # noqa: F401 - imported for good

    del sys.modules["rich"]
