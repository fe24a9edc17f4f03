"""What was sent, without bodies, headers and excerpts: messages, their deliveries and the attempts."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Column, select

from webhookd.adapters.store.deliveries.attempt_rows import MADE, AttemptMadeRow, attempt_made_from
from webhookd.adapters.store.deliveries.delivery_rows import DeliveryRow, delivery_from, select_deliveries
from webhookd.adapters.store.paging import MAX_ROWS, take_newest
from webhookd.adapters.store.rows import filled
from webhookd.adapters.store.rowset import named
from webhookd.adapters.store.schema import attempts, deliveries, messages
from webhookd.adapters.store.statement import Query
from webhookd.adapters.store.tx import Tx
from webhookd.core.records import MessageMade
from webhookd.core.timeline import Sendings


class _MessageMadeRow(NamedTuple):
    id: str
    task_id: str | None
    event: str
    created_ms: int


_ATTEMPTS: Final = Query(
    AttemptMadeRow,
    lambda dialect: (
        select(*MADE)
        .where(named(dialect, attempts.c.delivery_id, "ids"))
        .order_by(attempts.c.at_ms.desc(), attempts.c.delivery_id.desc(), attempts.c.number.desc())
        .limit(MAX_ROWS + 1)
    ),
)


class Sent:
    """What was sent for tasks, or of messages: chosen by these columns of messages and deliveries."""

    def __init__(self, of_messages: Column[str], of_deliveries: Column[str]) -> None:
        self._messages = Query(
            _MessageMadeRow,
            lambda dialect: (
                select(*(messages.c[name] for name in _MessageMadeRow._fields))
                .where(named(dialect, of_messages, "ids"))
                .order_by(messages.c.id.desc())
                .limit(MAX_ROWS + 1)
            ),
        )
        self._deliveries = Query(
            DeliveryRow,
            lambda dialect: (
                select_deliveries()
                .where(named(dialect, of_deliveries, "ids"))
                .order_by(deliveries.c.id.desc())
                .limit(MAX_ROWS + 1)
            ),
        )

    def read(self, tx: Tx, ids_of: Sequence[str]) -> tuple[Sendings, bool]:
        """Return the messages, deliveries and attempts, and whether those are all."""
        message_rows, all_messages = take_newest(tx.stream(self._messages, ids=ids_of))
        delivery_rows, all_deliveries = take_newest(tx.stream(self._deliveries, ids=ids_of))
        rows, all_attempts = take_newest(tx.stream(_ATTEMPTS, ids=[row.id for row in delivery_rows]))
        sendings = Sendings(
            messages=[filled(MessageMade, row) for row in message_rows],
            deliveries=[delivery_from(row) for row in delivery_rows],
            attempts=[attempt_made_from(row) for row in rows],
        )
        return sendings, all_messages and all_deliveries and all_attempts


OF_TASKS: Final = Sent(messages.c.task_id, deliveries.c.task_id)
OF_MESSAGES: Final = Sent(messages.c.id, deliveries.c.message_id)
