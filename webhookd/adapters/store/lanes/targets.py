"""How lanes are sent to, read at the moment of the claim: so that an edit counts from the next attempt on."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, Boolean, and_, bindparam, case, literal_column, or_, select, type_coerce

from webhookd.adapters.store.lanes.picking import PickedLane
from webhookd.adapters.store.lanes.rows import SERVED, TakenShares, first_ready, open_lane, waking
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import endpoints, lanes, partners, secrets
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.dispatch import LaneTarget, RetrySettings
from webhookd.core.records import SealedSecret


class _OpenLane(NamedTuple):
    id: str
    partner_id: str
    endpoint_id: str | None
    fifo: bool
    ready_ms: int | None
    hold_ms: int
    served_ms: int
    in_flight: int
    cap: int
    slow: bool
    heard: bool
    pace: str
    weight: int | None
    url: str | None
    headers_sealed: str | None
    retry_max_attempts: int | None
    retry_base_seconds: float | None
    retry_factor: float | None
    retry_cap_seconds: float | None


_Lane: TypeAlias = PickedLane | _OpenLane


class _Secret(NamedTuple):
    """A secret that signs, and when the next lane may be served. Without one: None but for that."""

    next_ms: int | None
    id: str | None
    partner_id: str | None
    endpoint_id: str | None
    scheme: str | None
    sealed: str | None
    created_ms: int | None
    expires_ms: int | None


def _open(dialect: str) -> Any:
    return (
        select(
            *SERVED,
            partners.c.weight,
            endpoints.c.url,
            endpoints.c.headers_sealed,
            endpoints.c.retry_max_attempts,
            endpoints.c.retry_base_seconds,
            endpoints.c.retry_factor,
            endpoints.c.retry_cap_seconds,
        )
        .outerjoin(partners, partners.c.id == lanes.c.partner_id)
        .outerjoin(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(named(dialect, lanes.c.id, "ids"), open_lane())
    )


_OPEN: Final = Query(_OpenLane, _open)


def targets_of(tx: Tx, now_ms: int, lane_ids: Iterable[str]) -> dict[str, LaneTarget]:
    """Read how to send to each of these lanes that may be sent to at all."""
    served: list[_OpenLane] = tx.run(_OPEN, ids=lane_ids)
    return targets_and_next(tx, now_ms, served, None)[0] if served else {}


def _signing_now(dialect: str) -> Any:
    """The secrets that sign now, the newest first; and when the next lane may be served, if that is asked."""
    next_ms = case(
        (bindparam("next_too", type_=Boolean), first_ready(dialect).scalar_subquery()),
        else_=literal_column("NULL"),
    )
    asked = select(type_coerce(next_ms, BigInteger).label("next_ms")).subquery("asked")
    signing = and_(
        or_(secrets.c.expires_ms.is_(None), secrets.c.expires_ms > bindparam("now", type_=BigInteger)),
        or_(
            named(dialect, secrets.c.endpoint_id, "endpoint_ids"),
            secrets.c.endpoint_id.is_(None) & named(dialect, secrets.c.partner_id, "inline_partners"),
        ),
    )
    return (
        select(asked.c.next_ms, secrets)
        .select_from(asked.outerjoin(secrets, signing))
        .order_by(secrets.c.created_ms.desc(), secrets.c.id.desc())
    )


_SIGNING_NOW: Final = Query(_Secret, _signing_now)


def targets_and_next(
    tx: Tx, now_ms: int, served: Sequence[_Lane], taken: TakenShares | None
) -> tuple[dict[str, LaneTarget], int | None]:
    """Read how to send to each lane: URL, headers, retry settings and every secret that signs now.

    With `taken`, also when the next lane may be served (`next_ready`).
    """
    rows = tx.run(
        _SIGNING_NOW,
        now=now_ms,
        endpoint_ids=[row.endpoint_id for row in served if row.endpoint_id is not None],
        inline_partners=[row.partner_id for row in served if row.endpoint_id is None],
        next_too=taken is not None,
        **waking(taken or TakenShares()),
    )
    found: dict[str, list[SealedSecret]] = {}
    for row in rows:
        if row.id is not None:
            sealed = SealedSecret(
                **{name: value for name, value in row._asdict().items() if name != "next_ms"}
            )
            found.setdefault(sealed.endpoint_id or sealed.partner_id, []).append(sealed)
    return {row.id: _target(row, found) for row in served}, rows[0].next_ms


def _target(row: _Lane, found: dict[str, list[SealedSecret]]) -> LaneTarget:
    return LaneTarget(
        lane_id=row.id,
        partner_id=row.partner_id,
        endpoint_id=row.endpoint_id,
        url=row.url,
        headers_sealed=row.headers_sealed,
        retry=RetrySettings(
            max_attempts=row.retry_max_attempts,
            base_seconds=row.retry_base_seconds,
            factor=row.retry_factor,
            cap_seconds=row.retry_cap_seconds,
        ),
        secrets=tuple(found.get(row.endpoint_id or row.partner_id, ())),
        slow=row.slow,
        heard=row.heard,
        weight=row.weight or 1.0,
    )
