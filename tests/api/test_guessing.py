"""The brake on guessing keys, at the door of the application."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import httpx
import pytest

from tests.support.api_face import ADMIN_KEY, Face
from webhookd.api.guess_brake import WRONG_KEYS


def guess(number: int, prefix: str = "whk") -> str:
    """A key that looks like one of ours."""
    return f"{prefix}_{number:026d}_{'0' * 43}"


@dataclass(slots=True, kw_only=True)
class StoppedClock:
    """Moves when it is told to."""

    now_ms: int


async def ask(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.get("/v1/tasks", headers={"Authorization": f"Bearer {key}"})


async def statuses(client: httpx.AsyncClient, keys: list[str]) -> Counter[int]:
    answers = await asyncio.gather(*(ask(client, key) for key in keys))
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize(
    "keys",
    [
        [guess(number) for number in range(400)],
        [guess(number, "wha") for number in range(400)],
        [f"operator-password-{number}" for number in range(400)],
        [guess(1)] * 400,
        ["x" * 20] * 400,
    ],
    ids=["partners", "admins", "operators", "one of ours", "one of nobody's"],
)
async def test_guesses_sent_all_at_once_count_like_guesses_sent_one_by_one(
    sqlite_face: Face, keys: list[str]
) -> None:
    counted = await statuses(await sqlite_face.client(None), keys)
    assert set(counted) == {401, 429}
    assert counted[401] <= WRONG_KEYS.burst + 30, "what the time of the test gives back"


async def test_a_guesser_does_not_learn_that_it_has_hit_the_admin_key(sqlite_face: Face) -> None:
    clock = StoppedClock(now_ms=sqlite_face.clock.now_ms())
    client = await sqlite_face.client(None, now_ms=lambda: clock.now_ms)
    assert (await ask(client, ADMIN_KEY)).status_code == 200
    await statuses(client, [f"operator-password-{number}" for number in range(80)])
    answer = await ask(client, ADMIN_KEY)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    clock.now_ms += 1_000
    assert (await ask(client, ADMIN_KEY)).status_code == 200
    assert (await ask(client, ADMIN_KEY)).status_code == 200, "a right key gives its guess back"


async def test_right_keys_that_come_all_at_once_are_all_let_in(sqlite_face: Face) -> None:
    partners = [await sqlite_face.partner() for _ in range(3)]
    client = await sqlite_face.client(None)
    counted = await statuses(client, [partner.key for partner in partners] * 100 + [ADMIN_KEY] * 100)
    assert counted == {200: 400}
