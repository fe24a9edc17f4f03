"""Python imports this at its start where this folder is on PYTHONPATH: it looks into processes of ours.

It gives threads the names that /proc shows, and where BENCH_COUNTS names a folder, counts the statements
that SQLite runs: a file a process, of two numbers, statements and commits.
"""

import ctypes
import mmap
import os
import sqlite3
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_NAME = 15
_COUNTS = struct.Struct("<QQ")


def name_threads() -> None:
    """Tell the system the names of threads that are started from now on."""
    libc = ctypes.CDLL(None)
    begin: Callable[[threading.Thread], None] = threading.Thread.__dict__["_bootstrap_inner"]

    def named(thread: threading.Thread) -> None:
        libc.prctl(_PR_SET_NAME, thread.name.encode()[:15], 0, 0, 0)
        begin(thread)

    setattr(threading.Thread, "_bootstrap_inner", named)  # noqa: B010 - the class has no such public name


def count_statements(folder: str) -> None:
    """Count what connections made from now on run."""
    path = Path(folder) / f"{os.getpid()}"
    path.write_bytes(bytes(_COUNTS.size))
    with path.open("r+b") as file:
        page = mmap.mmap(file.fileno(), _COUNTS.size)
    connect = sqlite3.connect

    def count(statement: str) -> None:
        statements, commits = _COUNTS.unpack_from(page)
        _COUNTS.pack_into(page, 0, statements + 1, commits + statement.startswith("COMMIT"))

    def counted(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(count)
        return connection

    for module in (sqlite3, sqlite3.dbapi2):
        setattr(module, "connect", counted)  # noqa: B010 - its many signatures are not repeated here


name_threads()
if "BENCH_COUNTS" in os.environ:
    count_statements(os.environ["BENCH_COUNTS"])
