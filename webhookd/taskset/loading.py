"""Finds the task sets that WEBHOOKD_TASKS names.

Importing an operator's module runs its code, so what goes wrong there can be anything: here it
becomes one line that names the setting, the entry and the fix.
"""

import importlib
import sys
from pathlib import Path

from webhookd.core.errors import SettingsError
from webhookd.taskset.declared import TaskSet

_FIX = "Set WEBHOOKD_TASKS to module:attribute, several separated by commas"


def load_task_sets(spec: str) -> TaskSet:
    """Import `module:attribute[,module:attribute…]` and return all their types as one set.

    The working directory is searched first, as `python -m` does. Raises SettingsError.
    """
    entries = [entry.strip() for entry in spec.split(",") if entry.strip()]
    if not entries:
        raise SettingsError(f"WEBHOOKD_TASKS is empty. {_FIX}, for example webhookd.samples:tasks.")
    _search_working_directory()
    try:
        return TaskSet.merge(*(_load(entry) for entry in entries))
    except ValueError as error:
        raise SettingsError(f"WEBHOOKD_TASKS={spec}: {error}.") from error


def _search_working_directory() -> None:
    """A console script, unlike `python -m`, does not look where it was started, but tasks.py lies there."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _load(entry: str) -> TaskSet:
    module_name, separator, attribute = entry.partition(":")
    if not (separator and module_name and attribute):
        raise SettingsError(f"WEBHOOKD_TASKS: {entry!r} is not module:attribute. {_FIX}.")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(
            f"WEBHOOKD_TASKS: module {module_name!r} cannot be imported ({reason}). "
            f"{_FIX}; the module must be installed or lie in the working directory."
        ) from error
    found = getattr(module, attribute, None)
    if found is None:
        raise SettingsError(f"WEBHOOKD_TASKS: module {module_name!r} has no {attribute!r}. {_FIX}.")
    if not isinstance(found, TaskSet):
        raise SettingsError(
            f"WEBHOOKD_TASKS: {entry!r} is a {type(found).__name__}, not a webhookd.TaskSet. {_FIX}."
        )
    return found
