"""The command line. Here: the entry point, and the one place that turns what went wrong into one line.

Which commands there are is a table in `families`; each family is a module that is imported when it is
used. Exit codes: 0 fine, 1 failed, 2 wrong use, 130 interrupted.
"""

import io
import os
import sys
from collections.abc import Sequence

from typer.exceptions import Abort, TyperException
from typer.main import get_command

from webhookd.cli.families import root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (`sys.argv` if left out) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets a stand-in
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        result = get_command(root).main(given, prog_name="webhookd", standalone_mode=False)
    except (KeyboardInterrupt, Abort):
        return 130
    except TyperException as error:
        _say(_usage_line(error))
        return error.exit_code
    except Exception as error:
        if os.environ.get("WEBHOOKD_LOG_LEVEL") == "debug":
            raise
        _say(_failure_line(error))
        return 1
    return result if isinstance(result, int) else 0


def _usage_line(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None or not message:  # no message: the help is on the screen already
        return message
    return f"{context.command_path}: {message.rstrip('.')}. Try `{context.command_path} --help`."


def _failure_line(error: Exception) -> str:
    # Imported late: a command that failed has its imports behind it, and the others need none.
    from webhookd.core.errors import WebhookdError

    if isinstance(error, WebhookdError):
        fields = "; ".join(f"{one.path} {one.message}" for one in error.errors)
        return f"webhookd: {error.detail}" + (f" ({fields})" if fields else "")
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"webhookd: {error.strerror or error}{where}"
    return (
        f"webhookd: internal error, please report it: {type(error).__name__}: {error} "
        "(WEBHOOKD_LOG_LEVEL=debug shows where)"
    )


def _say(line: str) -> None:
    if line := " ".join(line.split()):
        print(line, file=sys.stderr)
