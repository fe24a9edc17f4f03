"""Lists of names, as columns keep them."""

import orjson


def names(text_or_none: str | None) -> tuple[str, ...]:
    """Return a stored JSON array of strings; NULL is empty."""
    return () if text_or_none is None else tuple(orjson.loads(text_or_none))


def names_json(values: tuple[str, ...]) -> str | None:
    """Return `values` for a column that stores a JSON array of strings; empty is NULL."""
    return orjson.dumps(values).decode() if values else None
