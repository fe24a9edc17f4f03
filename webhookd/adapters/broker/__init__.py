"""The broker room: Dramatiq on Redis or Valkey, used as a doorbell.

A message is a *permit*: "queue Q may have work". It carries no ids, and nobody reads what is in it, so
permits may be lost, doubled, reordered, stale or forged without harm; the rows decide. Routing is
Dramatiq's: a queue per task queue, and `deliver`.

`Ringer` puts permits in, `turns.TurnWorker` takes them out and runs turns, `BrokerHealth` looks at the
server; `SharedBuckets` are the rates of partners over all API processes. Who only rings imports no Dramatiq.
What a turn does is not known here.
"""

import webhookd.runtime.lean_redis  # noqa: F401 - before redis

# isort: split
from webhookd.adapters.broker.buckets import SharedBuckets
from webhookd.adapters.broker.health import BrokerHealth
from webhookd.adapters.broker.ringer import Ringer

__all__ = ["BrokerHealth", "Ringer", "SharedBuckets"]
