"""Documents held more strictly than they are published: no field that is not described."""

from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter


@cache
def strictly(document: Any) -> TypeAdapter[Any]:
    """The adapter of a list of one such document; it refuses fields that the type does not have."""
    return TypeAdapter(list[document], config=ConfigDict(extra="forbid", strict=True))
