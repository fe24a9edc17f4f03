"""Records filled from rows."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest

from webhookd.adapters.store.rows import filled


class _Row(NamedTuple):
    id: str
    note: str
    state: str
    total_ms: int


@dataclass(frozen=True, kw_only=True)
class _Record:
    id: str
    note: str | None
    state: tuple[str, ...]
    total: int = 0


def test_what_row_and_record_have_under_one_name_and_type_is_taken() -> None:
    made = filled(_Record, _Row("a", "b", "open", 3), state=("open",), total=7)
    assert made == _Record(id="a", note="b", state=("open",), total=7)


def test_what_is_said_goes_before_what_the_row_has() -> None:
    assert filled(_Record, _Row("a", "b", "open", 3), state=(), note=None).note is None


def test_a_field_of_another_type_must_be_said() -> None:
    with pytest.raises(TypeError, match="say state"):
        filled(_Record, _Row("a", "b", "open", 3))


def test_a_record_fills_a_row_as_well() -> None:
    record = _Record(id="a", note="b", state=("open",))
    assert filled(_Row, record, note="c", state="open", total_ms=1) == _Row("a", "c", "open", 1)


def test_a_field_may_be_called_as_an_argument_of_the_function_is() -> None:
    class _Letter(NamedTuple):
        kind: str
        sources: int

    class _Counted(NamedTuple):
        sources: int

    assert filled(_Letter, _Counted(2), kind="task") == _Letter("task", 2)
