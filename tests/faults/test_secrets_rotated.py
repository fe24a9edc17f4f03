"""Secrets rotated while deliveries go out: every signature verifies, whichever secret the receiver has."""

import asyncio

import pytest

from tests.faults.conftest import Site
from tests.faults.invariants import settled, verify
from tests.faults.load import Load, partner_under_load
from webhookd.cli.receiver import Receiver

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
        while not submitting.done():
            for client, path, trusting in (
                (owner, "/v1/partner/rotate-secret", receiver),
                (other, f"/v1/endpoints/{made['id']}/rotate-secret", registered),
            ):
                answer = await client.post(path, json={"overlap_seconds": 3600})
                assert answer.status_code in (200, 201), answer.text
                trusting.trust(answer.json()["secret"])
                rotations += 1
            await asyncio.sleep(0.1)
        await submitting
        assert rotations > 10
        await settled(installation)
        await verify(installation, [inline, load], [*receiver.hits, *registered.hits])
        assert len(receiver.hits) == len(registered.hits) == 60
        _signed_by_the_oldest_and_the_newest(receiver, made)


async def _submit(load: Load) -> None:
    await load.submit_many(range(60), over_seconds=4)
