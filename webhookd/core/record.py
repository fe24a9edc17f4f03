"""`record`: a frozen dataclass as far as types go, and a plain one at run time.

A frozen dataclass sets each field through `object.__setattr__`: with twenty fields that is 2 us more an
instance, and a task passes through a dozen. Where a record is made once a task or a delivery, mypy's word
that nobody assigns to it is enough.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, **options: Any) -> Any:
        """As `dataclasses.dataclass`; `frozen` is for the type checker, and equal records hash alike."""
        return dataclass(unsafe_hash=frozen, **options)


__all__ = ["record"]
