"""To be imported first by a process that serves and talks to the broker: as `lean_imports`, with redis.

redis takes OpenTelemetry's metrics along, which nothing here uses: 3 MB a process and a part of its start.
"""

import webhookd.runtime.lean_imports  # noqa: F401 - it logs
from webhookd.runtime.importing import import_without

import_without("opentelemetry", "redis")
