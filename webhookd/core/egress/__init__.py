"""Which addresses may be called: the rules of the egress guard.

    policy    what the operator lets through (`WEBHOOKD_EGRESS_ALLOW`)
    addresses the tables of addresses nobody may be sent to, and the verdict at dialling
    names     host names in the one form we store and compare
    urls      the courtesy check of a callback URL at registration

Nothing here resolves a name or opens a socket. The sender asks `address_allowed` at the very place
where a socket is made, and that question is the control: a name that was harmless at registration
may resolve to anything later.
"""

from webhookd.core.egress.addresses import (
    STANDARD_PORTS,
    address_allowed,
    denied_parts,
    is_public,
    reaches_metadata,
)
from webhookd.core.egress.policy import LOOPBACK, EgressPolicy, allowing_loopback
from webhookd.core.egress.urls import MAX_URL_LENGTH, CallbackUrl, check_url, relay_allowed

__all__ = [
    "LOOPBACK",
    "MAX_URL_LENGTH",
    "STANDARD_PORTS",
    "CallbackUrl",
    "EgressPolicy",
    "address_allowed",
    "allowing_loopback",
    "check_url",
    "denied_parts",
    "is_public",
    "reaches_metadata",
    "relay_allowed",
]
