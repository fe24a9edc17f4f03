"""The running API held against its own description by schemathesis: made-up requests, right and wrong ones.

Every operation gets a few of each kind, each from an admin and from a partner; the same ones on every run.
"""

import asyncio

import pytest

from tests.support.live_api import ADMIN_KEY, Live

pytestmark = [
    pytest.mark.slow,
    # The service runs in this process and rolls dice of its own, which hypothesis takes for a strategy's.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:FutureWarning"),
]


async def test_running_service_keeps_to_its_description(live: Live) -> None:
    from tests.api.description.exploring import explore

    partner = await live.partner()
    answers = await asyncio.to_thread(explore, live.url, [ADMIN_KEY, partner.key])
    described = (await (await live.client(partner.key)).get("/openapi.json")).json()
    ids = {one["operationId"] for item in described["paths"].values() for one in item.values()}
    assert {operation for operation, _ in answers} == ids
    assert {200, 201, 202, 403, 404, 422} <= {status for _, status in answers}
