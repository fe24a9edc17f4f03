"""Declaring task types, checking their input, and finding them by WEBHOOKD_TASKS."""

from __future__ import annotations

import functools
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from webhookd import Fail, Retry, TaskContext, TaskSet
from webhookd.core.errors import FieldError, Invalid, SettingsError
from webhookd.taskset import Cancelled, TaskDefinition, load_task_sets
from webhookd.taskset.known import published

if TYPE_CHECKING:
    from pathlib import Path


class Line(BaseModel):
    amount: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Order(BaseModel):
    account: str
    lines: list[Line] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    labels: dict[str, int] = {}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    day: date
    amount: Decimal


class Numbers(RootModel[list[int]]):
    pass


class Unschemable(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thread: functools.partial[int]


def declared(function: Any, **options: Any) -> TaskDefinition:
    tasks = TaskSet()
    assert tasks.task("a.b", **options)(function) is function
    return tasks["a.b"]


def with_order(ctx: TaskContext, input: Order) -> dict[str, str]:  # noqa: A002 -- as operators write it
    """Count the
    order's lines.

    Not in the description.
    """
    return {"account": input.account}


def with_dict(ctx: TaskContext, input: dict[str, Any]) -> None:  # noqa: A002 -- as above
    return None


def test_a_declaration_keeps_every_option() -> None:
    definition = declared(
        with_order,
        queue="reports",
        timeout=300,
        max_attempts=5,
        concurrency=4,
        rate="10/s",
        isolation="process",
        memory_mb=512,
        retry_base_seconds=0.5,
        retry_factor=2,
    )
    assert (definition.type, definition.queue, definition.timeout_seconds) == ("a.b", "reports", 300.0)
    assert (definition.max_attempts, definition.concurrency, definition.rate_per_second) == (5, 4, 10.0)
    assert (definition.isolation, definition.memory_mb, definition.is_async) == ("process", 512, False)
    assert (definition.retry_base_seconds, definition.retry_factor) == (0.5, 2.0)
    assert definition.description == "Count the order's lines."


def test_the_defaults_are_the_contracts() -> None:
    definition = declared(with_dict)
    assert (definition.queue, definition.max_attempts, definition.isolation) == ("default", 3, "thread")
    assert (definition.retry_base_seconds, definition.retry_factor) == (1.0, 4.0)
    assert (definition.concurrency, definition.rate_per_second, definition.memory_mb) == (None, None, None)


@pytest.mark.parametrize(
    ("rate", "per_second"), [("10/s", 10), ("90/m", 1.5), ("1800/h", 0.5), ("0.5/s", 0.5)]
)
def test_a_rate_is_per_second_minute_or_hour(rate: str, per_second: float) -> None:
    assert declared(with_dict, rate=rate).rate_per_second == per_second


@pytest.mark.parametrize(
    "rate", ["", "10", "10/d", "0/s", "-1/s", "ten/s", "10 / s", "1e3/s", "\u0661/s", "10/s\n"]
)
def test_a_bad_rate_is_refused_with_the_way_to_write_it(rate: str) -> None:
    with pytest.raises(ValueError, match=r'task type .a\.b.: rate=.*: write it as "10/s"'):
        declared(with_dict, rate=rate)


@pytest.mark.parametrize("type_name", ["", "A.b", "a b", "a..b", ".a", "a.", "a-b", "ä", "a" * 101, "a\n"])
def test_a_bad_type_name_is_refused(type_name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words"):
        TaskSet().task(type_name)


@pytest.mark.parametrize("type_name", ["a", "report.statement", "a_1.b_2.c", "a" * 100])
def test_a_good_type_name_is_taken(type_name: str) -> None:
    tasks = TaskSet()
    tasks.task(type_name)(with_dict)
    assert type_name in tasks
    assert tasks.get(type_name) is tasks[type_name]


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "deliver"},
        {"queue": "Re ports"},
        {"queue": ""},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"timeout": True},
        {"timeout": "300"},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"max_attempts": 2.5},
        {"concurrency": 0},
        {"concurrency": True},
        {"isolation": "docker"},
        {"memory_mb": 512},
        {"memory_mb": 16, "isolation": "process"},
        {"retry_base_seconds": -1},
        {"retry_factor": 0.5},
    ],
    ids=str,
)
def test_a_bad_option_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"task type 'a\.b': {next(iter(options))}="):
        declared(with_dict, **options)


def test_the_same_type_twice_is_refused_naming_both_places() -> None:
    tasks = TaskSet()
    tasks.task("a.b")(with_dict)
    with pytest.raises(ValueError, match=r"declared twice: by .*with_dict and by .*with_order"):
        tasks.task("a.b")(with_order)


def test_merging_keeps_order_and_refuses_duplicates() -> None:
    one, two = TaskSet(), TaskSet()
    one.task("b", queue="x")(with_dict)
    two.task("a", queue="y")(with_dict)
    merged = TaskSet.merge(one, two)
    assert [definition.type for definition in merged] == ["b", "a"]
    assert (len(merged), merged.queues) == (2, ("x", "y"))
    with pytest.raises(ValueError, match="'a' is declared twice"):
        TaskSet.merge(merged, two)


def no_parameters() -> None: ...
def only_context(ctx: TaskContext) -> None: ...
def one_too_many(ctx: TaskContext, input: dict[str, Any], more: int) -> None: ...  # noqa: A002
def keyword_only(ctx: TaskContext, *, input: dict[str, Any]) -> None: ...  # noqa: A002
def needs_keyword(ctx: TaskContext, input: dict[str, Any], *, more: int) -> None: ...  # noqa: A002


@pytest.mark.parametrize(
    "function", [no_parameters, only_context, one_too_many, keyword_only, needs_keyword, 42, Order]
)
def test_a_function_of_the_wrong_shape_is_refused_with_the_right_one(function: Any) -> None:
    with pytest.raises(
        TypeError, match=r"task type 'a\.b': .*write it as: def name\(ctx: TaskContext, input"
    ):
        declared(function)


def wrong_annotation(ctx: TaskContext, input: str) -> None: ...  # noqa: A002
def unresolved(ctx: TaskContext, input: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: A002, F821 -- the very case


def without_schema(ctx: TaskContext, input: Unschemable) -> None: ...  # noqa: A002


def generator(ctx: TaskContext, input: dict[str, Any]) -> Any:  # noqa: A002
    yield 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (wrong_annotation, "use a pydantic model or dict"),
        (unresolved, "'Nowhere' cannot be resolved .*top level of the module"),
        (without_schema, "no JSON Schema"),
        (generator, "not yield"),
    ],
)
def test_an_input_that_cannot_be_used_is_refused(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"task type 'a\.b': .*{message}"):
        declared(function)


def test_the_return_annotation_need_not_exist() -> None:
    def function(ctx: TaskContext, input: Order) -> Nowhere: ...  # type: ignore[name-defined] # noqa: A002, F821 -- as above

    assert declared(function).validate_input({"account": "A-1"}) == []


def test_async_is_seen_through_partials_callables_and_wrappers() -> None:
    async def plain(ctx: TaskContext, input: dict[str, Any]) -> None: ...  # noqa: A002

    class Callable_:  # noqa: N801 -- local to this test
        async def __call__(self, ctx: TaskContext, input: Order) -> None: ...  # noqa: A002

    @functools.wraps(plain)
    def sync_wrapper(*args: Any) -> None: ...

    assert declared(plain).is_async
    assert declared(functools.partial(plain)).is_async
    assert declared(Callable_()).is_async
    assert not declared(sync_wrapper).is_async
    assert declared(Callable_()).validate_input({}) != []


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, "$.input.account"),
        ({"account": 5}, "$.input.account"),
        ({"account": "A", "lines": [{"amount": 1}, {"amount": "x"}]}, "$.input.lines[1].amount"),
        ({"account": "A", "lines": [{}]}, "$.input.lines[0].amount"),
        ({"account": "A", "pet": {"kind": "cat", "lives": "nine"}}, "$.input.pet.lives"),
        ({"account": "A", "pet": {"kind": "cat"}}, "$.input.pet.lives"),
        ({"account": "A", "pet": {"kind": "cow"}}, "$.input.pet"),
        ({"account": "A", "labels": {"it's": "x"}}, "$.input.labels['it\\'s']"),
        ([], "$.input"),
        (None, "$.input"),
        ("account", "$.input"),
        ({"account": "\ud800"}, "$.input"),
    ],
)
def test_a_wrong_field_is_named_by_its_path_in_the_callers_document(raw: Any, path: str) -> None:
    errors = declared(with_order).validate_input(raw)
    assert [error.path for error in errors] == [path]
    assert errors[0].message


def test_a_model_is_what_the_function_gets() -> None:
    assert declared(with_order).parse_input({"account": "A-1"}) == Order(account="A-1")
    assert declared(with_order).validate_input({"account": "A-1", "unknown": 1}) == []


def test_strict_models_take_dates_and_decimals_as_json_has_them() -> None:
    def function(ctx: TaskContext, input: Strict) -> None: ...  # noqa: A002

    raw = {"day": "2026-11-24", "amount": "1.50"}
    assert declared(function).parse_input(raw) == Strict(day=date(2026, 11, 24), amount=Decimal("1.50"))
    assert declared(function).validate_input({**raw, "more": 1})[0].path == "$.input.more"


def test_a_plain_dict_takes_any_object_and_nothing_else() -> None:
    def unannotated(ctx, input):  # type: ignore[no-untyped-def] # noqa: A002 -- the very case
        ...

    for function in (with_dict, unannotated):
        definition = declared(function)
        raw = {"anything": [1, {"deep": None}]}
        assert definition.parse_input(raw) is raw
        assert definition.validate_input({}) == []
        assert definition.validate_input([]) == [FieldError(path="$.input", message="must be a JSON object")]
        assert definition.input_schema()["type"] == "object"


def test_other_shapes_that_have_a_schema_are_checked_too() -> None:
    def counts(ctx: TaskContext, input: dict[str, int]) -> None: ...  # noqa: A002
    def root(ctx: TaskContext, input: Numbers) -> None: ...  # noqa: A002

    assert declared(counts).validate_input({"a": "x"})[0].path == "$.input.a"
    assert declared(counts).validate_input({"a": 1, "b": "2"}) == [
        FieldError(path="$.input.b", message='"2" is not of type "integer"')
    ]
    assert declared(root).validate_input([1, "x"])[0].path == "$.input[1]"


def test_errors_are_capped() -> None:
    raw = {"account": "A", "lines": [{} for _ in range(1000)]}
    with pytest.raises(Invalid) as caught:
        declared(with_order).parse_input(raw)
    assert len(caught.value.errors) == 50


def test_the_schema_is_published_as_a_copy() -> None:
    definition = declared(with_order)
    schema = definition.input_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["account"]
    schema["properties"].clear()
    assert "account" in definition.input_schema()["properties"]


def write_module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is not on the path yet, as a console script sees it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


GOOD = """
from webhookd import TaskSet
tasks, more = TaskSet(), TaskSet()
tasks.task("one")(lambda ctx, input: None)
more.task("two")(lambda ctx, input: None)
"""


def test_task_sets_are_found_in_the_working_directory(folder: Path) -> None:
    name = write_module(folder, "operator_tasks", GOOD)
    found = load_task_sets(f" {name}:tasks, {name}:more ,")
    assert [definition.type for definition in found] == ["one", "two"]


def test_the_default_spec_loads() -> None:
    assert "demo.echo" in load_task_sets("webhookd.samples:tasks")


@pytest.mark.parametrize(
    ("text", "spec", "reason"),
    [
        ("", "", "is empty"),
        ("", " , ", "is empty"),
        ("", "operator_tasks", "'operator_tasks' is not module:attribute"),
        ("", ":tasks", "':tasks' is not module:attribute"),
        ("", "no_such_module:tasks", r"cannot be imported \(ModuleNotFoundError: No module named 'no_such"),
        ("", ".relative:tasks", r"cannot be imported \(TypeError"),
        (
            "raise OSError('first\\nsecond')",
            "operator_tasks:tasks",
            r"cannot be imported \(OSError: first second",
        ),
        ("raise SystemExit(3)", "operator_tasks:tasks", r"cannot be imported \(SystemExit: 3"),
        (
            GOOD + "tasks.task('one')(print)",
            "operator_tasks:tasks",
            "imported .(TypeError|ValueError): task type 'one'",
        ),
        (GOOD, "operator_tasks:missing", "has no 'missing'"),
        ("tasks = {}", "operator_tasks:tasks", "is a dict, not a webhookd.TaskSet"),
        (GOOD, "operator_tasks:tasks,operator_tasks:tasks", "'one' is declared twice"),
    ],
)
def test_a_wrong_setting_is_explained_in_one_line(folder: Path, text: str, spec: str, reason: str) -> None:
    write_module(folder, "operator_tasks", text)
    with pytest.raises(SettingsError, match=f"WEBHOOKD_TASKS.*{reason}") as caught:
        load_task_sets(spec)
    assert "\n" not in caught.value.detail


def test_a_context_can_be_made_by_hand() -> None:
    before = datetime.now(UTC)
    ctx = TaskContext(timeout_seconds=3600)
    assert ctx.deadline - before >= timedelta(seconds=3600)
    assert ctx.deadline.tzinfo is UTC
    assert 0 < ctx.remaining_seconds <= 3600
    assert TaskContext(timeout_seconds=0).remaining_seconds == 0
    ctx.progress(50)  # nobody listens: still fine
    ctx.log.debug("hello")


def test_cancelling_makes_the_context_say_so() -> None:
    ctx = TaskContext()
    ctx.raise_if_cancelled()
    assert not ctx.cancelled
    ctx.cancel()
    assert ctx.cancelled
    with pytest.raises(Cancelled):
        ctx.raise_if_cancelled()
    assert not issubclass(Cancelled, Exception)


def test_progress_is_held_to_its_range_and_remembers_what_was_said() -> None:
    heard: list[tuple[float | None, str | None]] = []
    ctx = TaskContext(on_progress=lambda percent, message: heard.append((percent, message)))
    ctx.progress(message="starting")
    ctx.progress(-5)
    ctx.progress(float("nan"), "a\0\ud800")
    ctx.progress(250, "x" * 501)
    assert heard[:3] == [(None, "starting"), (0.0, "starting"), (0.0, "a\ufffd?")]
    assert heard[3] == (100.0, "x" * 499 + "…")


def test_fail_and_retry_hold_what_they_were_given() -> None:
    failure = Fail("account_closed", "The account is closed.")
    assert (failure.code, failure.message) == ("account_closed", "The account is closed.")
    assert str(failure) == "account_closed: The account is closed."
    assert Retry().after_seconds is None
    assert Retry(after=2.5).after_seconds == 2.5
    assert Retry(after=timedelta(minutes=1), message="later").after_seconds == 60
    assert str(Retry(message="later")) == "later"


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_pause_must_be_possible(after: float | timedelta) -> None:
    with pytest.raises(ValueError, match="zero or more seconds"):
        Retry(after=after)


def test_the_output_of_a_type_is_published_as_the_schema_of_its_result() -> None:
    tasks = TaskSet()

    class Total(BaseModel):
        cents: int = Field(serialization_alias="Cents")

    @tasks.task("sum.up", output=Total)
    def sum_up(ctx: TaskContext, input: dict[str, Any]) -> Total:  # noqa: A002 - the contract's word
        return Total(cents=1)

    @tasks.task("sum.list", output=list[int])
    def listed(ctx: TaskContext, input: dict[str, Any]) -> list[int]:  # noqa: A002 - the contract's word
        return []

    schema = tasks["sum.up"].output_schema()
    assert schema is not None
    assert schema["properties"] == {"Cents": {"title": "Cents", "type": "integer"}}
    assert published(tasks["sum.up"]).output_schema() == schema
    found = tasks["sum.list"].output_schema()
    assert found is not None
    assert found["type"] == "array"
    with pytest.raises(TypeError, match="output has no JSON Schema"):
        tasks.task("sum.bad", output=object())
