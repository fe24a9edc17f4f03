"""Whether a webhook is genuine: Standard Webhooks 1.0.0, by the official library."""

import json
from collections.abc import Mapping, Sequence

from standardwebhooks import Webhook, WebhookVerificationError

from webhookd.client.documents import Document, Event
from webhookd.client.errors import VerificationFailed


def verify(headers: Mapping[str, str], body: bytes | str, secret: str | Sequence[str]) -> Event:
    """Return the event of a webhook that was signed with `secret` (`whsec_…`), or with one of several.

    `body` must be the bytes as they came: parsed and written again, they are others. Raises
    VerificationFailed where a header is missing, the time is over five minutes off, or no signature fits.
    """
    failure = VerificationFailed("No secret was given.")
    for one in [secret] if isinstance(secret, str) else secret:
        try:
            webhook = Webhook(one)
        except Exception as error:  # noqa: BLE001 - the library has no error of its own for a bad secret
            failure = VerificationFailed("The secret is none: it must look like whsec_ and base64.")
            failure.__cause__ = error
            continue
        try:
            webhook.verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as error:
            failure = VerificationFailed(f"{error}.")
            failure.__cause__ = error
            continue
        except ValueError as error:  # the library parses before it compares
            failure = VerificationFailed("The signature's header or the body is malformed.")
            failure.__cause__ = error
            continue
        try:
            return Event(json.loads(body, object_hook=Document))
        except ValueError as error:
            raise VerificationFailed("The signature fits, but the body is not JSON.") from error
    raise failure
