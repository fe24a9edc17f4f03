"""Who calls."""

from dataclasses import dataclass
from typing import Final

from webhookd.core.records import Partner

OPERATOR: Final = "operator"
"""The key id of WEBHOOKD_ADMIN_KEY, which has no row, and of commands on this machine's own database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A key that was let in. `partner` None is an admin; `key_name` is what the audit log calls it.

    `via` says how its bearer came in where that was not by showing the key: the audit log notes it.
    """

    key_id: str
    partner: Partner | None
    scopes: frozenset[str]
    key_name: str = ""
    via: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether the key is an admin's."""
        return self.partner is None

    @property
    def partner_id(self) -> str | None:
        """What every query of this caller is confined to; None sees all."""
        return None if self.partner is None else self.partner.id

    def may(self, scope: str) -> bool:
        """Whether the key has a scope; an admin's has all."""
        return self.partner is None or scope in self.scopes
