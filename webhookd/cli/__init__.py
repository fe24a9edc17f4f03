"""The command line: a module a command. `main` is in `command_line`, and loaded when it is first used.

`hosting`, which stays as long as the service, needs none of what the commands need.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhookd.cli.command_line import main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'webhookd.cli' has no attribute '{name}'")
    from webhookd.cli import command_line

    return command_line.main
