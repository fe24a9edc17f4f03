"""`python -m webhookd.taskset.listed SPEC`: prints the types of WEBHOOKD_TASKS as one line of JSON, the last.

A process of its own, for those who want to know and not to run operators' code.
"""

import json
import sys

from webhookd.core.errors import SettingsError
from webhookd.taskset.loading import load_task_sets


def main() -> int:
    """Print the types; where they cannot be imported, say why on stderr and return 1."""
    try:
        types = [definition.type for definition in load_task_sets(sys.argv[1])]
    except SettingsError as error:
        print(error.detail, file=sys.stderr)
        return 1
    print(f"\n{json.dumps(types)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
