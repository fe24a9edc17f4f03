"""JSON Schema as one that checks values by it."""

from collections.abc import Mapping
from typing import Any


def validator(schema: Mapping[str, Any]) -> Any | None:
    """Return jsonschema-rs's validator of a schema; None where that has a pattern it cannot read."""
    import jsonschema_rs  # late: only an API checks inputs by their schemas

    try:
        return jsonschema_rs.validator_for(dict(schema))
    except ValueError:
        return None
