"""Endpoints of a partner of the HTTP face, and deliveries to them that are tried and die."""

from typing import Any

from tests.support.api_face import Face, PartnerFace
from tests.support.seeds import EXHAUSTED, answered, due, message_to
from webhookd.adapters.store.endpoints.endpoint_settings import PacedEndpoint
from webhookd.core.delivery import Verdict
from webhookd.core.records import Endpoint

URL = "https://hooks.partner.example/in"


async def endpoint(face: Face, partner: PartnerFace, **body: Any) -> Endpoint:
    """A new endpoint."""
    answer = await partner.client.post("/v1/endpoints", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    found: PacedEndpoint | None = await face.store.endpoints.get(answer.json()["id"], None)
    assert found is not None
    return found.endpoint


async def tried(face: Face, delivery_id: str, verdict: Verdict) -> None:
    """Let the delivery be tried once, with this verdict."""
    now_ms = face.clock.now_ms()
    (delivery,) = [one for one in await due(face.store, now_ms) if one.id == delivery_id]
    assert await answered(face.store, delivery, verdict, now_ms=now_ms)


async def dead(face: Face, target: Endpoint) -> str:
    """The id of a delivery that died there."""
    delivery_id = await message_to(face.store, target, now_ms=face.clock.now_ms())
    await tried(face, delivery_id, EXHAUSTED)
    return delivery_id
