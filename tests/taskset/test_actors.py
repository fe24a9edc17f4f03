"""Dramatiq actors as task types, run by `webhookd.testing` as a worker would run them."""

from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries, TimeLimit

import webhookd.testing
from webhookd import TaskSet
from webhookd.core.outcome import PRIVATE


@pytest.fixture
def broker() -> StubBroker:
    return StubBroker(middleware=[])


@pytest.fixture
def tasks() -> TaskSet:
    return TaskSet()


def test_an_actor_is_a_type_and_its_parameters_are_the_input(tasks: TaskSet, broker: StubBroker) -> None:
    @tasks.add_actor
    @dramatiq.actor(broker=broker)
    def send_mail(user_id: int, schema: str = "plain", *, copy: bool = False) -> dict[str, Any]:
        """Send a mail.

        Slowly.
        """
        return {"user_id": user_id, "schema": schema, "copy": copy}

    definition = tasks["send_mail"]
    assert definition.description == "Send a mail."
    schema = definition.input_schema()
    assert list(schema["properties"]) == ["user_id", "schema", "copy"]
    assert (schema["required"], schema["additionalProperties"]) == (["user_id"], False)
    done = webhookd.testing.run(tasks, "send_mail", {"user_id": 7, "copy": True})
    assert done.result == {"user_id": 7, "schema": "plain", "copy": True}
    wrong = webhookd.testing.run(tasks, "send_mail", {"user_id": "x", "unknown": 1})
    assert wrong.error is not None
    assert (wrong.state, wrong.error["code"]) == ("failed", "invalid_input")
    assert "$.input.user_id" in wrong.error["message"]
    assert send_mail(1) == {"user_id": 1, "schema": "plain", "copy": False}  # still the actor it was


def test_an_async_actor_runs_on_our_loop(tasks: TaskSet, broker: StubBroker) -> None:
    async def double(number: int, /, **more: int) -> int:
        return 2 * number + sum(more.values())

    broker.add_middleware(dramatiq.middleware.AsyncIO())
    tasks.add_actor(dramatiq.actor(broker=broker)(double))
    assert tasks["double"].is_async
    assert webhookd.testing.run(tasks, "double", {"number": 4, "extra": 1}).result == 9


def test_limits_and_tries_are_the_actors_or_its_brokers(tasks: TaskSet) -> None:
    broker = StubBroker(middleware=[TimeLimit(time_limit=90_000), Retries(max_retries=7, min_backoff=2_000)])

    def work() -> None:
        pass

    tasks.add_actor(
        dramatiq.actor(broker=broker, actor_name="a", queue_name="reports", time_limit=5_000, max_retries=0)(
            work
        )
    )
    tasks.add_actor(dramatiq.actor(broker=broker, actor_name="b")(work))
    tasks.add_actor(
        dramatiq.actor(broker=broker, actor_name="C.d", time_limit=float("inf"), max_retries=500)(work),
        type="c.d",
        queue="slow",
        timeout=30,
    )
    a, b, c = tasks["a"], tasks["b"], tasks["c.d"]
    assert (a.queue, a.timeout_seconds, a.max_attempts) == ("reports", 5, 1)
    assert (b.queue, b.timeout_seconds, b.max_attempts) == ("default", 90, 8)
    assert (b.retry_base_seconds, b.retry_factor) == (2, 2)
    assert (c.queue, c.timeout_seconds, c.max_attempts) == ("slow", 30, 100)


def test_its_exceptions_mean_what_they_meant(tasks: TaskSet, broker: StubBroker) -> None:
    broker.add_middleware(Retries(max_retries=2, min_backoff=15_000))

    @tasks.add_actor
    @dramatiq.actor(broker=broker, throws=(PermissionError,))
    def work(how: str) -> None:
        match how:
            case "retry":
                raise dramatiq.errors.Retry("not yet", delay=2_500)
            case "throw":
                raise PermissionError("Bob may not")
        raise ValueError("Bob's salary")

    later = webhookd.testing.run(tasks, "work", {"how": "retry"})
    assert (later.state, later.retry_after_seconds) == ("scheduled", 2.5)
    assert later.error == {"code": "retry", "message": "not yet"}
    over = webhookd.testing.run(tasks, "work", {"how": "throw"})
    assert (over.state, over.error) == ("failed", {"code": "error", "message": PRIVATE})
    plain = webhookd.testing.run(tasks, "work", {"how": "?"})
    assert (plain.state, plain.retry_after_seconds) == ("scheduled", 15)
    assert plain.exception is not None
    assert plain.exception.message == "Bob's salary"
    assert webhookd.testing.run(tasks, "work", {"how": "?"}, attempt=3).state == "failed"


def test_what_cannot_be_an_input_is_said_at_once(tasks: TaskSet, broker: StubBroker) -> None:
    def many(*numbers: int) -> None:
        pass

    with pytest.raises(TypeError, match=r"actor 'many': \*numbers has no name"):
        tasks.add_actor(dramatiq.actor(broker=broker)(many))
    with pytest.raises(ValueError, match="lower-case words"):
        tasks.add_actor(dramatiq.actor(broker=broker, actor_name="Not-A-Type")(lambda: None))
