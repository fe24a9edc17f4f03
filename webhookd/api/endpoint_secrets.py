"""What an endpoint keeps sealed, on its way into the store: signing secrets, and the values of its headers.

Secrets are made or brought, and shown once or never. A v1 secret is shared with the receiver, so its text is
shown at its making. The private half of a v1a key is shown to nobody; its public half stands in the Endpoint.
"""

from dataclasses import replace
from typing import Annotated

import orjson
from pydantic import Field

from webhookd.adapters import entropy
from webhookd.adapters.store.endpoints import secrets
from webhookd.adapters.store.endpoints.endpoint_settings import HEADERS_FIELD
from webhookd.adapters.store.tx import Tx
from webhookd.api.call import AnyCall
from webhookd.api.endpoint_wire import MASK, EndpointSettings
from webhookd.api.wire import unknown_or_wrong
from webhookd.core.fields import Timestamp
from webhookd.core.records import Endpoint
from webhookd.core.render import EndpointDocument
from webhookd.core.signing import SigningKey


class EndpointWithSecretDocument(EndpointDocument):
    """The endpoint with its secret."""

    secret: Annotated[str, Field(pattern="^whsec_")]
    """What its webhooks are signed with, shown this once."""


class EndpointRotatedDocument(EndpointWithSecretDocument):
    """The endpoint with its new secret."""

    previous_expires_at: Timestamp
    """When the secrets before stop signing."""


class NewSecrets:
    """Secrets on their way into the store: one a scheme. `shown` is the v1 secret's text."""

    def __init__(self, endpoint: Endpoint, now_ms: int) -> None:
        self._endpoint = endpoint
        self._now_ms = now_ms
        self._sealed: dict[str, str] = {}
        self.shown = ""
        self.public_key: str | None = endpoint.public_key

    def make(self, call: AnyCall, scheme: str, brought: str | None = None) -> None:
        """Make and seal the secret of one scheme, or seal the one that was brought."""
        text = brought or entropy.new_signing_secret(scheme)
        self._sealed[scheme] = call.parts.vault.seal(
            text.encode(),
            partner=self._endpoint.partner_id,
            endpoint=self._endpoint.id,
            field=secrets.SECRET_FIELD,
        )
        if scheme == "v1":
            self.shown = text
        else:
            self.public_key = SigningKey.parse(text).public_text

    def add(self, tx: Tx) -> None:
        """Write them down as the current ones."""
        for scheme, sealed in self._sealed.items():
            secrets.add(
                tx,
                self._endpoint.partner_id,
                self._endpoint.id,
                scheme=scheme,
                sealed=sealed,
                created_ms=self._now_ms,
            )


def new_secrets(
    call: AnyCall, endpoint: Endpoint, schemes: tuple[str, ...], *, brought: str | None = None
) -> NewSecrets:
    """Return a fresh secret for each scheme, sealed and not yet written. `brought` is the one of v1."""
    made = NewSecrets(endpoint, call.now_ms)
    for scheme in schemes:
        made.make(call, scheme, brought if scheme == "v1" else None)
    return made


def with_schemes(call: AnyCall, tx: Tx, before: Endpoint, after: Endpoint) -> Endpoint:
    """Return the endpoint with the key pair its `signature` asks for: a new one, or none any more."""
    had, has = "v1a" in before.signature, "v1a" in after.signature
    if has and not had:
        made = new_secrets(call, after, ("v1a",))
        made.add(tx)
        return replace(after, public_key=made.public_key)
    if had and not has:
        secrets.expire_current(tx, after.partner_id, after.id, expires_ms=call.now_ms, scheme="v1a")
        return replace(after, public_key=None)
    return after


def with_headers(call: AnyCall, endpoint: Endpoint, given: EndpointSettings) -> Endpoint:
    """Return the endpoint with the headers given, sealed. `***` keeps the value a header has."""
    if "headers" not in given.model_fields_set:
        return endpoint
    headers = dict(given.headers or {})
    where = {"partner": endpoint.partner_id, "endpoint": endpoint.id, "field": HEADERS_FIELD}
    if MASK in headers.values():
        sealed = endpoint.headers_sealed
        kept = {} if sealed is None else orjson.loads(call.parts.vault.open(sealed, **where))
        kept = {name.lower(): value for name, value in kept.items()}
        for name, value in headers.items():
            if value == MASK and name.lower() not in kept:
                raise unknown_or_wrong("body", "headers", f"'{name}' has no value yet that {MASK} could keep")
            headers[name] = kept[name.lower()] if value == MASK else value
    if not headers:
        return replace(endpoint, headers_sealed=None, header_names=())
    sealed = call.parts.vault.seal(orjson.dumps(headers), **where)
    return replace(endpoint, headers_sealed=sealed, header_names=tuple(headers))
