"""The description for a partner's client: without what is only for admins."""

from typing import Any, Final

from webhookd.api.description.schemas import ADMINS, AUDIENCE, used_schemas

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


def for_partners(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document without the calls, parameters and fields of admins, and what only these use."""
    kept: dict[str, Any] = _without_admins(document)
    kept["paths"] = {path: item for path, item in kept["paths"].items() if _METHODS & item.keys()}
    tags = {tag for place in ("paths", "webhooks") for item in kept[place].values() for tag in _tags(item)}
    kept["tags"] = [tag for tag in kept["tags"] if tag["name"] in tags]
    components = kept["components"]
    rest = {**kept, "components": {**components, "schemas": {}}}
    kept["components"] = {**components, "schemas": used_schemas(rest, components["schemas"])}
    return kept


def _tags(item: dict[str, Any]) -> list[str]:
    return [tag for method, operation in item.items() if method in _METHODS for tag in operation["tags"]]


def _without_admins(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without_admins(value) for key, value in part.items() if not _is_admins(value)}
    if isinstance(part, list):
        return [_without_admins(value) for value in part if not _is_admins(value)]
    return part


def _is_admins(part: Any) -> bool:
    return isinstance(part, dict) and part.get(AUDIENCE) == ADMINS
