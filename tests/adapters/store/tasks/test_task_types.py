"""Types that workers publish, and who reads them."""

from dataclasses import replace

import pytest
from pydantic import BaseModel

from webhookd import File, TaskContext, TaskSet
from webhookd.adapters.store.store import Store
from webhookd.adapters.store.tasks.task_types import publish_types, read_types
from webhookd.flows.known_types import KnownTypes
from webhookd.samples import tasks as samples
from webhookd.taskset.known import PublishedType, published

MODEL = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"account": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
    "required": ["account"],
    "additionalProperties": False,
}


def type_named(name: str, queue: str = "default") -> PublishedType:
    return PublishedType(
        type=name,
        description="Do it.",
        queue=queue,
        timeout_seconds=60.0,
        max_attempts=3,
        expose_logs=False,
        schema=MODEL,
    )


async def names(store: Store) -> list[str]:
    return [one.type for one in await store.db.read(read_types)]


async def test_a_source_has_the_types_it_published_last(store: Store) -> None:
    a, b, c = (type_named(name) for name in ("a.a", "b.b", "c.c"))
    await store.db.write(publish_types, "billing:tasks", [a, b])
    await store.db.write(publish_types, "reports:tasks", [c])
    assert await store.db.read(read_types) == [a, b, c]
    changed = replace(b, queue="slow")
    for _ in range(2):  # a second worker with the same code changes nothing
        await store.db.write(publish_types, "billing:tasks", [changed])
    assert await store.db.read(read_types) == [changed, c]
    await store.db.write(publish_types, "reports:tasks", [])
    assert await names(store) == ["b.b"]


async def test_an_api_knows_its_own_types_and_those_that_are_published(store: Store) -> None:
    types = KnownTypes(samples, lambda: store.db.read(read_types))
    own = {one.type for one in types}
    await store.db.write(publish_types, "x:y", [type_named("demo.echo"), type_named("report.own", "slow")])
    assert types.get("report.own") is None
    await types.refresh()
    assert {one.type for one in types} == own | {"report.own"}
    assert "slow" in types.queues
    assert types.get("demo.echo") is samples["demo.echo"]  # which checks more than a schema can say
    first = types.get("report.own")
    await types.refresh()
    assert types.get("report.own") is first


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({"account": "A-1", "lines": [1, 2]}, []),
        ({}, ["$.input.account"]),
        ([], ["$.input"]),
        ({"account": 1}, ["$.input.account"]),
        ({"account": "A", "lines": [1, "x", 2]}, ["$.input.lines[1]"]),
        ({"account": "A", "other": 1}, ["$.input"]),
    ],
)
def test_an_input_is_held_against_the_published_schema(given: object, paths: list[str]) -> None:
    assert [error.path for error in type_named("a").validate_input(given)] == paths


def test_what_is_published_of_the_samples_takes_what_they_take() -> None:
    inputs: dict[str, list[tuple[object, bool]]] = {
        "demo.echo": [({"any": [1]}, True), ([], False)],
        "demo.sleep": [
            ({"seconds": 0.5}, True),
            ({"seconds": 1}, True),
            ({"seconds": -1}, False),
            ({}, False),
            ({"seconds": "0.5"}, False),  # which pydantic by itself would take for a number
            ({"seconds": True}, False),
        ],
        "demo.fail": [({"times": 1.0}, True), ({"times": "1"}, False)],
        "report.statement": [({"account": "A", "lines": None}, True)],
        "csv.summary": [({"csv": "a,b\n1,2\n"}, True)],
    }
    for name, cases in inputs.items():
        known = published(samples[name])
        assert known.input_schema() == samples[name].input_schema()
        for given, good in cases:
            assert (known.validate_input(given) == []) is good, (name, given)
            assert (samples[name].validate_input(given) == []) is good, (name, given)


def test_files_are_found_where_the_schema_takes_one() -> None:
    class Letter(BaseModel):
        text: str
        attached: list[File] = []

    taking = TaskSet()

    @taking.task("letter.send")
    def send(_ctx: TaskContext, letter: Letter) -> str:
        return letter.text

    known = published(taking["letter.send"])
    file_id = "file_" + "0" * 26
    given = {"text": "hello", "attached": [file_id, {"url": "https://files.example/a"}, file_id]}
    assert known.validate_input(given) == []
    assert known.files_named(given) == taking["letter.send"].files_named(given)
    assert len(known.files_named(given)) == 2
    assert type_named("a").files_named({"account": file_id}) == []
