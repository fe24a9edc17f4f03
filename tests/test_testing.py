"""`webhookd.testing`: a type runs as a worker would run it, without a service."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from pydantic import BaseModel, Field

import webhookd.testing
from webhookd import Fail, File, Retry, TaskContext, TaskSet
from webhookd.core.outcome import PRIVATE
from webhookd.taskset import TaskPartner

HOW_TO: Final = Path(__file__).parents[1] / "docs" / "how-to"
SNIPPET: Final = re.compile(r"```python\n(.*?)```", re.DOTALL)

tasks = TaskSet()


class Amount(BaseModel):
    cents: int = Field(ge=0, alias="Cents")


@tasks.task("amount.double", max_attempts=2)
def double(ctx: TaskContext, amount: Amount) -> dict[str, Any]:
    ctx.progress(50, "half")
    match amount.cents:
        case 1:
            raise Fail("too_small", "One is too small.")
        case 2:
            raise Retry(after=5)
        case 3:
            raise ValueError("another customer's data")
        case 4:
            return {"not": {1, 2}}
        case 5:
            return {"large": "x" * 300_000}
    return {"cents": 2 * amount.cents, "for": ctx.partner.name, "order": ctx.metadata.get("order")}


@tasks.task("forked", isolation="process", memory_mb=512)
def forked(ctx: TaskContext, _data: dict[str, Any]) -> list[Any]:
    return [ctx.type, ctx.priority, ctx.attempt, ctx.last_attempt]


PAUSES: Final[dict[str, float | timedelta]] = {
    "year": timedelta(days=366),
    "beyond the calendar": 2.6e11,
    "beyond 64 bits": 1e300,
    "longest timedelta": timedelta.max,
}


def wait_long(_ctx: TaskContext, data: dict[str, Any]) -> None:
    raise Retry(after=PAUSES[data["pause"]])


tasks.task("wait.thread")(wait_long)
tasks.task("wait.process", isolation="process")(wait_long)


@tasks.task("slow", timeout=0.05)
async def slow(_ctx: TaskContext, _data: dict[str, Any]) -> None:
    await asyncio.sleep(60)


@tasks.task("slow.thread", timeout=0.05, max_attempts=1)
def slow_in_thread(ctx: TaskContext, _data: dict[str, Any]) -> None:
    while True:
        ctx.raise_if_cancelled()
        time.sleep(0.01)


def test_it_returns_the_result_as_a_partner_reads_it() -> None:
    done = webhookd.testing.run(
        tasks,
        "amount.double",
        {"Cents": 21},
        partner=TaskPartner(id="prt_1", name="acme"),
        metadata={"order": "42"},
    )
    assert (done.state, done.error, done.exception) == ("succeeded", None, None)
    assert done.result == {"cents": 42, "for": "acme", "order": "42"}
    assert done.progress == ((50.0, "half"),)
    assert webhookd.testing.run(tasks, "amount.double", Amount(Cents=21)).result["cents"] == 42


@pytest.mark.parametrize(
    ("cents", "state", "code"),
    [
        (-1, "failed", "invalid_input"),
        (1, "failed", "too_small"),
        (2, "scheduled", "retry"),
        (3, "scheduled", "error"),
        (4, "failed", "result_not_json"),
        (5, "failed", "result_too_large"),
    ],
)
def test_it_fails_as_in_a_worker(cents: int, state: str, code: str) -> None:
    done = webhookd.testing.run(tasks, "amount.double", {"Cents": cents})
    assert done.error is not None
    assert (done.state, done.error["code"], done.result) == (state, code, None)
    if code == "error":
        assert done.error["message"] == PRIVATE
        assert done.exception is not None
        assert "another customer's data" in done.exception.traceback


def test_the_last_attempt_fails() -> None:
    done = webhookd.testing.run(tasks, "amount.double", {"Cents": 2}, attempt=2)
    assert (done.state, done.retry_after_seconds) == ("failed", None)
    assert webhookd.testing.run(tasks, "amount.double", {"Cents": 2}).retry_after_seconds == 5


@pytest.mark.parametrize("type_name", ["wait.thread", "wait.process"])
@pytest.mark.parametrize("pause", PAUSES)
def test_what_asks_for_a_longer_pause_than_a_year_waits_a_year(type_name: str, pause: str) -> None:
    done = webhookd.testing.run(tasks, type_name, {"pause": pause})
    assert (done.state, done.retry_after_seconds) == ("scheduled", 366 * 86_400)


@pytest.mark.parametrize(("type_name", "state"), [("slow", "scheduled"), ("slow.thread", "failed")])
def test_the_time_limit_is_kept(type_name: str, state: str) -> None:
    done = webhookd.testing.run(tasks, type_name)
    assert done.error == {"code": "timeout", "message": "It did not end within 0.05 s."}
    assert done.state == state


async def test_it_runs_where_a_loop_runs_and_what_is_isolated_runs_here() -> None:
    done = webhookd.testing.run(tasks, "forked", priority="high", attempt=3)
    assert done.result == ["forked", "high", 3, True]


def test_the_lifespan_is_entered_around_the_run_unless_a_state_is_given() -> None:
    left: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield "a pool"
        left.append("a pool")

    with_pool = TaskSet(lifespan=lifespan)
    with_pool.task("show")(show_state)
    assert webhookd.testing.run(with_pool, "show").result == "a pool"
    assert left == ["a pool"]
    assert webhookd.testing.run(with_pool, "show", state="a fake").result == "a fake"
    assert left == ["a pool"]


def show_state(ctx: TaskContext, _data: dict[str, Any]) -> str:
    return str(ctx.state)


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        webhookd.testing.run(tasks, "no.such.type")


def test_the_pages_on_testing_and_on_actors_work_as_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dramatiq.broker, "global_broker", StubBroker())
    found: dict[str, dict[str, Any]] = {}
    for page in ("test-a-task", "bring-dramatiq-actors"):
        for number, snippet in enumerate(SNIPPET.findall((HOW_TO / f"{page}.md").read_text())):
            # As files of their own: what is declared in one is not in the next.
            names = found.setdefault(f"{page} {number}", {"__name__": page})
            exec(compile(snippet, page, "exec"), names)  # noqa: S102 - our own page
    own = [value for names in found.values() for name, value in names.items() if name.startswith("test_")]
    assert len(own) == 4
    for test in own:
        test(tmp_path) if test.__code__.co_argcount else test()
    actors = found["bring-dramatiq-actors 0"]["tasks"]
    assert webhookd.testing.run(actors, "send_mail", {"user_id": 7}).result == {"sent_to": 7}
    mail = actors["send_mail"]
    assert (mail.queue, mail.timeout_seconds, mail.max_attempts) == ("mails", 60, 6)


class Page(BaseModel):
    text: File
    others: list[File] = Field(default_factory=list)


files = TaskSet()


@files.task("page.copy")
def copy(ctx: TaskContext, page: Page) -> int:
    ctx.attach("copy.txt", page.text.read(), content_type="text/plain")
    ctx.attach("copy.txt", page.text.read() + b"!", content_type="text/plain")
    for number, other in enumerate(page.others):
        ctx.attach(f"{number}-{other.name}", other.path())
    if page.text.size > 10:
        raise Fail("too_long")
    return page.text.size


def test_files_of_this_machine_are_the_inputs_and_what_is_attached_is_in_the_outcome(tmp_path: Path) -> None:
    text, other = tmp_path / "page.txt", tmp_path / "other.bin"
    text.write_text("hello")
    other.write_bytes(b"01")
    given = {"text": File.local(text), "others": [File.local(other)]}

    for form in (given, Page(text=File.local(text), others=[File.local(other)])):
        done = webhookd.testing.run(files, "page.copy", form)
        assert (done.state, done.result) == ("succeeded", 5)
        assert [(one.name, one.content_type, one.content) for one in done.files] == [
            ("copy.txt", "text/plain", b"hello!"),
            ("0-other.bin", "application/octet-stream", b"01"),
        ]


def test_what_a_run_that_fails_has_attached_is_not_in_the_outcome(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("more than ten")
    done = webhookd.testing.run(files, "page.copy", {"text": File.local(tmp_path / "page.txt")})
    assert (done.state, done.error, done.files) == ("failed", {"code": "too_long", "message": ""}, ())


def test_a_file_that_is_not_there_in_a_test_is_told_as_such() -> None:
    done = webhookd.testing.run(files, "page.copy", {"text": "file_" + "0" * 26})
    assert done.state == "scheduled"
    assert done.exception is not None
    assert "in its run" in done.exception.message
