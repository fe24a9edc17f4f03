"""The headers of an attempt. Whose secret signs is the vault's to say, each time it is asked.

What is remembered here is made of opened texts alone: a key ready to sign, headers taken apart.
"""

from functools import lru_cache

import orjson

from webhookd.core.dispatch import DueDelivery, LaneTarget
from webhookd.core.signing import SigningKey, signature_header
from webhookd.flows.deliver.ports import Opens

MAX_REMEMBERED = 4_096


class Signer:
    """Signs deliveries by Standard Webhooks, and adds what else goes into their heads."""

    def __init__(self, vault: Opens, *, user_agent: str) -> None:
        self._vault = vault
        self._fixed = (("content-type", "application/json"), ("user-agent", user_agent))
        self._key = lru_cache(MAX_REMEMBERED)(lambda plain: SigningKey.parse(plain.decode()))
        self._own = lru_cache(MAX_REMEMBERED)(lambda plain: tuple(orjson.loads(plain).items()))

    def headers(
        self, delivery: DueDelivery, body: bytes, *, at_seconds: int, span_id: str
    ) -> list[tuple[str, str]]:
        """Return the headers of an attempt begun now. Raises as the vault does for a secret not its own."""
        lane = delivery.target
        headers = [
            *self._fixed,
            ("webhook-id", delivery.message_id),
            ("webhook-timestamp", str(at_seconds)),
            (
                "webhook-signature",
                signature_header(
                    message_id=delivery.message_id,
                    timestamp=at_seconds,
                    body=body,
                    secrets=self._signing_keys(lane),
                ),
            ),
            ("webhook-attempt", str(delivery.attempt)),
            ("traceparent", f"00-{delivery.trace.trace_id}-{span_id}-{delivery.trace.flags:02x}"),
        ]
        if delivery.trace.state:
            headers.append(("tracestate", delivery.trace.state))
        if lane.headers_sealed is not None:
            headers.extend(self._own_headers(lane, lane.headers_sealed))
        return headers

    def _signing_keys(self, lane: LaneTarget) -> list[SigningKey]:
        keys = []
        for secret in lane.secrets:
            plain = self._vault.open(
                secret.sealed, partner=secret.partner_id, endpoint=secret.endpoint_id, field="secret"
            )
            keys.append(self._key(plain))
        return keys

    def _own_headers(self, lane: LaneTarget, sealed: str) -> tuple[tuple[str, str], ...]:
        plain = self._vault.open(sealed, partner=lane.partner_id, endpoint=lane.endpoint_id, field="headers")
        return self._own(plain)
