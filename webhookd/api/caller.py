"""Who calls."""

from dataclasses import dataclass

from webhookd.core.records import Partner


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A key that was let in. `partner` None is an admin; `key_id` names the key in the audit log."""

    key_id: str
    partner: Partner | None
    scopes: frozenset[str]

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
