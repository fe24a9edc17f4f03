"""What `up --dev` shows to be pasted is taken by the type it is for."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, Field

from webhookd import File, TaskContext, TaskSet
from webhookd.cli.sample_input import type_to_try
from webhookd.samples import tasks as samples


class Colour(StrEnum):
    RED = "red"


class Item(BaseModel):
    name: str = Field(min_length=3)
    cents: int = Field(ge=10)
    weight: float = Field(gt=2)
    colour: Colour
    kind: Literal["a", "b"]


class Order(BaseModel):
    items: list[Item] = Field(min_length=2)
    first: Item
    day: date
    at: datetime
    by: UUID
    url: AnyUrl
    urgent: bool
    note: str | None
    more: int | str
    table: dict[str, int]
    left_out: str = "x"


class Picky(BaseModel):
    code: Annotated[str, Field(pattern="^[A-Z]{7}-[0-9]$")]


class WithFile(BaseModel):
    photo: File


class Endless(BaseModel):
    inner: "Endless"


def taking(*models: Any) -> TaskSet:
    """A set of types, each of which takes one of these."""
    tasks = TaskSet()
    for number, model in enumerate(models):

        def work(ctx: TaskContext, input: Any) -> None: ...  # noqa: A002 - the contract's word

        work.__annotations__["input"] = model
        tasks.task(f"type.n{number}")(work)
    return tasks


@pytest.mark.parametrize(
    ("models", "chosen"),
    [((Order,), 0), ((Item,), 0), ((dict, Item), 1), ((Picky, Item), 1), ((Endless, Item), 1), ((dict,), 0)],
)
def test_type_takes_the_input_that_is_shown_with_it(models: tuple[Any, ...], chosen: int) -> None:
    tasks = taking(*models)
    name, value = type_to_try(tasks)
    assert name == f"type.n{chosen}"
    assert tasks[name].validate_input(value) == []


@pytest.mark.parametrize("models", [(Picky,), (Endless,), (WithFile,)])
def test_type_whose_input_cannot_be_thought_of_is_shown_all_the_same(models: tuple[Any, ...]) -> None:
    assert type_to_try(taking(*models))[0] == "type.n0"


def test_samples_have_one_to_try() -> None:
    name, value = type_to_try(samples)
    assert samples[name].validate_input(value) == []
