"""To be imported first by a process that serves and talks to the broker: as `lean_imports`, with redis.

redis takes OpenTelemetry's metrics along, which nothing here uses: 3 MB a process and a part of its start.
"""

from webhookd.runtime.lean_imports import import_without

import_without("opentelemetry", "redis")
