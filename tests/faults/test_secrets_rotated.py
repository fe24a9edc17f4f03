"""Secrets rotated while deliveries go out: the receiver, which keeps up, can verify every signature."""

import asyncio

import pytest

from tests.faults.invariants import settled, verify
from tests.faults.load import Load, partner_under_load
from tests.faults.site import Site

OVERLAP_SECONDS = 1
pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_every_signature_verifies_while_secrets_are_rotated(site: Site) -> None:
    installation = site.installation
    async with (
        partner_under_load(installation, "rotated") as (inline, receiver),
        partner_under_load(installation, "rotated endpoint") as (load, registered),
        installation.client(inline.key) as owner,
        installation.client(load.key) as other,
    ):
        made = (await other.post("/v1/endpoints", json={"url": load.callback_url})).json()
        registered.trust(made["secret"])
        load.callback_url = None
        submitting = asyncio.gather(*(_submit(one) for one in (inline, load)))
        rotations = 0
        while rotations < 10 or not submitting.done():
            for client, path, trusting in (
                (owner, "/v1/partner/rotate-secret", receiver),
                (other, f"/v1/endpoints/{made['id']}/rotate-secret", registered),
            ):
                answer = await client.post(path, json={"overlap_seconds": OVERLAP_SECONDS})
                assert answer.is_success, answer.text
                trusting.trust(answer.json()["secret"])
                rotations += 1
            await asyncio.sleep(OVERLAP_SECONDS / 3)
        await submitting
        await settled(installation)
        await verify(installation, [inline, load], [*receiver.hits, *registered.hits])
        assert len(receiver.hits) == len(registered.hits) == 60
        signatures = {len(hit.headers["webhook-signature"].split()) for hit in receiver.hits}
        assert max(signatures) > 1, "old and new sign side by side"


async def _submit(load: Load) -> None:
    await load.submit_many(range(60), over_seconds=4)
