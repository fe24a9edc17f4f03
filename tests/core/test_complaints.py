"""What is wrong with a value is told in words that follow its name, whoever found it."""

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from webhookd.core.complaints import complaint


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, lt=100), AfterValidator(_even)] = 2
    price: float = 1.0
    lines: list[str] = Field(["a"], min_length=1, max_length=2)
    note: str = Field("", max_length=3)
    tags: dict[str, str] = Field({}, max_length=1)
    unit: Literal["kg", "m"] = "m"
    inner: "Order | None" = None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"count": "two"}, "must be a whole number"),
        ({"count": 1.5}, "must be a whole number"),
        ({"count": 0}, "must be greater than or equal to 1"),
        ({"count": 3}, "must be even"),
        ({"price": "much"}, "must be a number"),
        ({"lines": []}, "must have at least 1 item"),
        ({"lines": ["a", "b", "c"]}, "must have at most 2 items"),
        ({"note": "long"}, "must have at most 3 characters"),
        ({"note": 1}, "must be a valid string"),
        ({"tags": {"a": "1", "b": "2"}}, "must have at most 1 item"),
        ({"tags": []}, "must be a JSON object"),
        ({"unit": "lb"}, "must be 'kg' or 'm'"),
        ({"inner": 5}, "must be a JSON object"),
        ({"more": 1}, "is not known here"),
    ],
)
def test_complaint_follows_the_name(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Order.model_validate(given)
    assert complaint(refused.value.errors()[0]) == told
