"""Bodies as they are kept: short, and back to the character."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import NOW, a_task
from webhookd.core import abbreviation, ids
from webhookd.core.abbreviation import abbreviated, restored
from webhookd.core.render import announced_task_document, event_body

MESSAGE = ids.make_id(ids.MESSAGE, now_ms=NOW, entropy=bytes(ids.ENTROPY_BYTES))
TASK = ids.make_id(ids.TASK, now_ms=NOW, entropy=bytes(ids.ENTROPY_BYTES))
WHITE = " \t\n\r"
PIECES = (
    *abbreviation._FRAGMENTS,
    TASK,
    "2026-09-21T14:13:20.000Z",
    *string.ascii_letters,
    *string.digits,
    *string.punctuation,
    *WHITE,
    "á",
    "😀",
    "\x7f",
)


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from([TASK, None]))
def test_what_is_kept_comes_back_to_the_character(body: str, task_id: str | None) -> None:
    kept = abbreviated(body, message_id=MESSAGE, task_id=task_id)

    assert restored(kept, message_id=MESSAGE, task_id=task_id) == body
    assert restored(body, message_id=MESSAGE, task_id=task_id) == body, "one from before"


@pytest.mark.parametrize("base_url", ["", "https://hooks.example"])
def test_what_tells_of_a_small_task_is_kept_in_a_third(base_url: str) -> None:
    task = a_task(id=TASK, result_json="{}", started_ms=NOW, finished_ms=NOW, attempts=1, version=3)
    document = announced_task_document(task, base_url=base_url)
    body = event_body("task.succeeded", timestamp_ms=NOW, data=document)

    kept = abbreviated(body, message_id=MESSAGE, task_id=TASK)

    assert len(kept) < len(body) / 3


def test_fragments_stay_what_they_are_because_they_are_on_disk() -> None:
    """Add to this list only at its end."""
    assert {mark: fragment for fragment, mark in abbreviation._STATIC} == {
        "\x03": '"files":[],"batch":null,"rerun_of":null,"cancel_requested_at":null,"links":{"self":"',
        "\x04": ',"error":null,"progress":{"percent":100.0,"message":null},"metadata":',
        "\x05": ',"priority":"normal","attempts":1,"version":3,"trace_id":"',
        "\x06": '","run_at":null,"expires_at":null,"started_at":"',
        "\x07": '","state":"succeeded","done":true,"result":',
        "\x08": '{"type":"task.succeeded","timestamp":"',
        "\x0b": '","callback_url":null,"created_at":"',
        "\x0c": '{"type":"task.failed","timestamp":"',
        "\x0e": '","state":"failed","done":true,"result":null,"error":{"code":"',
        "\x0f": ',"progress":{"percent":null,"message":null},"metadata":',
        "\x10": "/v1/deliveries?task=",
        "\x11": '/cancel","deliveries":"',
        "\x12": '/timeline","cancel":"',
        "\x13": '/events","timeline":"',
        "\x14": '","callback_url":"',
        "\x15": '","finished_at":"',
        "\x16": '","created_at":"',
        "\x17": '","data":{"id":"',
        "\x18": '","events":"',
        "\x19": "/v1/tasks/",
        "\x1a": '","type":"',
    }
