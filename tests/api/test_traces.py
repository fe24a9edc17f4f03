"""A request's place in its trace: what listeners are told, and what goes into the tasks' rows."""

import pytest

from tests.support.api_face import Face
from webhookd.core.errors import Unavailable
from webhookd.core.facts import TasksSubmitted
from webhookd.core.submission import Accepted, Submission
from webhookd.core.trace import TraceContext
from webhookd.flows.submit import SubmitTasks

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER, PRODUCER = "b7ad6b7169203331", "00000000000000aa"
BROUGHT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
ECHO = {"type": "test.echo"}


async def test_request_is_below_its_caller_and_says_so_in_its_answer(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers=BROUGHT)
    fact = sqlite_face.facts[-1]
    assert (fact.trace_id, fact.parent_span_id, fact.trace_flags, fact.trace_state) == (
        TRACE,
        CALLER,
        1,
        "vendor=1",
    )
    assert answer.headers["traceparent"] == f"00-{TRACE}-{fact.span_id}-01"
    assert fact.span_id != CALLER


async def test_request_without_a_trace_begins_one(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    answer = await partner.client.post("/v1/tasks", json=ECHO, headers={"traceparent": "00-nonsense"})
    fact = sqlite_face.facts[-1]
    assert answer.headers["traceparent"] == f"00-{fact.trace_id}-{fact.span_id}-01"
    assert fact.parent_span_id == ""


async def test_whether_a_new_trace_is_sampled_is_for_others_to_say(sqlite_face: Face) -> None:
    unsampled = TraceContext(trace_id=TRACE, parent_id=PRODUCER, flags=0)
    client = await sqlite_face.client((await sqlite_face.partner()).key, new_trace=lambda: unsampled)
    answer = await client.post("/v1/tasks", json=ECHO)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{PRODUCER}-00"
    task = await sqlite_face.store.tasks.get(answer.json()["id"], None)
    assert task is not None
    assert task.trace.flags == 0


async def test_paths_are_told_with_ids_of_ours_only(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    task = (await partner.client.post("/v1/tasks", json=ECHO)).json()
    told = {}
    for path in (f"/v1/tasks/{task['id']}", f"/v1/tasks/{partner.key}", "/v1/tasks", "/nowhere/at/all"):
        await partner.client.get(path, params={"state": "queued"} if path == "/v1/tasks" else {})
        told[path] = sqlite_face.facts[-1].path
    assert list(told.values()) == [f"/v1/tasks/{task['id']}", "/v1/tasks/{id}", "/v1/tasks", None]


async def test_tasks_are_below_their_submission_where_that_has_a_span(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    told: list[TasksSubmitted] = []
    submit = sqlite_face.with_ceilings()["submit"]
    submit._listeners = (told.append,)
    client = await sqlite_face.client(partner.key, submit=submit, new_span_id=lambda: PRODUCER)
    batch = {"tasks": [ECHO, {"type": "test.order", "input": {"account": "A"}}]}
    ids: list[str] = []
    for path, body in (("/v1/tasks", ECHO), ("/v1/tasks/batch", batch)):
        answer = await client.post(path, json=body, headers=BROUGHT | {"Idempotency-Key": path})
        assert answer.status_code == 202, answer.text
        request = sqlite_face.facts[-1]
        again = await client.post(path, json=body, headers={"Idempotency-Key": path})
        assert again.headers["idempotency-replayed"] == "true"
        fact = told.pop()
        assert told == [], "a repeat submits nothing"
        assert (fact.trace_id, fact.span_id, fact.parent_span_id) == (TRACE, PRODUCER, request.span_id)
        document = answer.json()
        ids += [one["task"]["id"] for one in document.get("results", [{"task": document}])]
    assert (fact.error, fact.count, fact.task_id, fact.queue) == (None, 2, None, None)
    places = {
        (task.trace.trace_id, task.trace.parent_id) for task in await sqlite_face.store.tasks.get_many(ids)
    }
    assert (len(ids), places) == (3, {(TRACE, PRODUCER)})


class Away:
    """A store that does not answer."""

    async def submit(self, submission: Submission) -> Accepted:  # noqa: ARG002 - none gets there
        raise Unavailable("It does not answer.")


async def test_submission_of_unknown_outcome_is_told_too(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    told: list[TasksSubmitted] = []
    parts = sqlite_face.parts
    submit = SubmitTasks(
        intake=Away(),
        recall=sqlite_face.store.idempotency.find,
        load=parts.load,
        rates=parts.submit.rates,
        ceilings=parts.submit.ceilings,
        listeners=(told.append,),
    )
    client = await sqlite_face.client(partner.key, submit=submit)
    assert (await client.post("/v1/tasks", json=ECHO)).status_code == 503
    [fact] = told
    assert (fact.error, fact.count, fact.queue) == ("unavailable", 1, "default")


@pytest.mark.parametrize("what", ["repeat", "cancel"])
async def test_call_that_meets_an_earlier_task_is_linked_to_its_trace(sqlite_face: Face, what: str) -> None:
    partner = await sqlite_face.partner()
    headers = {"Idempotency-Key": "once"}
    task_id = (await partner.client.post("/v1/tasks", json=ECHO, headers=headers | BROUGHT)).json()["id"]
    assert sqlite_face.facts[-1].links == ()
    if what == "repeat":
        await partner.client.post("/v1/tasks", json=ECHO, headers=headers)
    else:
        await partner.client.post(f"/v1/tasks/{task_id}/cancel")
    task = await sqlite_face.store.tasks.get(task_id, None)
    assert task is not None
    fact = sqlite_face.facts[-1]
    assert fact.trace_id != TRACE
    place = TraceContext(trace_id=TRACE, parent_id=task.trace.parent_id, flags=1, state="vendor=1")
    assert fact.links == (place,)
