"""Who calls."""

from dataclasses import dataclass
from typing import Final

from webhookd.core.page_tokens import Grant
from webhookd.core.records import Partner

OPERATOR: Final = "operator"
"""The key id of WEBHOOKD_ADMIN_KEY, which has no row, and of commands on this machine's own database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A key that was let in. `partner` None is an admin; `key_name` is what the audit log calls it.

    `via` says how its bearer came in where that was not by showing the key: the audit log notes it.
    `grant` is what a token lets its bearer read, and nothing else; None where there was a key.
    """

    key_id: str
    partner: Partner | None
    scopes: frozenset[str]
    key_name: str = ""
    via: str = ""
    grant: Grant | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the key is an admin's."""
        return self.partner is None

    @property
    def partner_id(self) -> str | None:
        """What every query of this caller is confined to; None sees all."""
        return None if self.partner is None else self.partner.id

    @property
    def review_id(self) -> str:
        """What is looked at again while a request is held (`watch.key_review`)."""
        return self.key_id if self.grant is None else f"{self.key_id}@{self.grant.until_ms}"

    def may(self, scope: str) -> bool:
        """Whether the key has a scope; an admin's has all."""
        return self.partner is None or scope in self.scopes
