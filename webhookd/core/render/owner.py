"""Whose a thing is, for admins, who see everybody's."""

from typing_extensions import TypedDict

from webhookd.core.fields import PartnerId


class OwnerDocument(TypedDict):
    """Whose it is."""

    id: PartnerId
    """The partner's id."""
    name: str
    """What the partner is called."""
