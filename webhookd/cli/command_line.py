"""The command line: the entry point, and the one place that turns what went wrong into one line.

Which commands there are is a table in `families`; each family is a module that is imported when it is
used. Exit codes: 0 fine, 1 failed, 2 wrong use, 130 interrupted. "Internal error" is for our own mistakes:
what the machine or its owner did (a full disk, a closed pipe, a name that is not UTF-8) is said as such.
"""

import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence

from typer.exceptions import Abort, TyperException
from typer.main import get_command

from webhookd.adapters.forerunner import BecomeForerunner
from webhookd.cli.families import root
from webhookd.runtime.loop_policy import keep_files_private


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    `arguments` left out are `sys.argv`, and the process is taken to end with this.
    """
    _settle_streams()
    keep_files_private()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    forked: BecomeForerunner | None = None
    try:
        code = _run(given, owns_process=arguments is None)
    except BecomeForerunner as process:
        forked = process
    if forked is not None:  # what the command had open is closed here
        forked.run()
    if arguments is None:
        gc.freeze()  # the interpreter would look through all modules as it ends: a quarter of a short command
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # nobody reads any more, or the disk is full
        _discard_stdout()
        if not isinstance(error, BrokenPipeError):
            _say(failure_line(error))
        return code or 1
    return code


def _run(given: list[str], *, owns_process: bool) -> int:
    try:
        # The context's object: whether the command may fork this process.
        result = get_command(root).main(given, prog_name="webhookd", standalone_mode=False, obj=owns_process)
    except (KeyboardInterrupt, Abort):
        return 130
    except TyperException as error:
        _say(_usage_line(error))
        return error.exit_code
    except BrokenPipeError:
        _discard_stdout()
        return 1
    except Exception as error:
        if os.environ.get("WEBHOOKD_LOG_LEVEL") == "debug":
            raise
        _say(failure_line(error))
        return 1
    return result if isinstance(result, int) else 0


def _settle_streams() -> None:
    """Give a process that was started with closed streams (`>&-`) some that lead nowhere.

    Without them the next file or socket would get their number, and be written to by whoever prints.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
                os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets a stand-in
            stream.reconfigure(errors="backslashreplace")


def _discard_stdout() -> None:
    """Let what is still buffered go nowhere, so that the end of the process does not fail on it again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _usage_line(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().replace("Value error, ", "")  # pydantic's own word for a ValueError
    if context is None or not message:  # no message: the help is on the screen already
        return message
    return f"{context.command_path}: {message.rstrip('.')}. Try `{context.command_path} --help`."


def failure_line(error: Exception) -> str:
    """Return what is said of a failure, in one line."""
    # Imported late: a command that failed has its imports behind it, and the others need none.
    from webhookd.core.errors import WebhookdError

    if isinstance(error, WebhookdError):
        fields = "; ".join(f"{one.path} {one.message}" for one in error.errors)
        return f"webhookd: {error.detail}" + (f" ({fields})" if fields else "")
    if isinstance(error, OSError):
        where = f": {os.fspath(error.filename)!s}" if error.filename else ""
        return f"webhookd: {error.strerror or error}{where}"
    if isinstance(error, UnicodeError):
        return "webhookd: a name or a file that was given is not UTF-8; rename it, or save it as UTF-8"
    return (
        f"webhookd: internal error, please report it: {type(error).__name__}: {error} "
        "(WEBHOOKD_LOG_LEVEL=debug shows where)"
    )


def _say(line: str) -> None:
    if line := " ".join(line.split()):
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
