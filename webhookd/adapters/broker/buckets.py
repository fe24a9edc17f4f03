"""Token buckets that all API processes share: one small script on the broker, one round trip a call.

A bucket is one number, the time at which it is full again, by the broker's own clock (`core.rate` has the
algorithm, and the script is the same one). What lies there is untrusted: it can empty a bucket, and no more.
"""

import asyncio
import time
from typing import Any, Final

import redis

from webhookd.adapters.broker.connection import connect_async
from webhookd.core.rate import Rate, Told
from webhookd.runtime.outage import Outage

TIMEOUT_SECONDS: Final = 0.05
_AWAY_SECONDS: Final = 1.0

_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local spacing, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local spent, wanted = tonumber(ARGV[3]), tonumber(ARGV[4])
local full_at_most = now + burst * spacing
local kept, forged = redis.pcall('GET', KEYS[1]), 0
local full = now
if kept then
  full = type(kept) == 'string' and tonumber(kept) or nil
  if full == nil or full ~= full then full, forged = now, 1 end
end
full = math.min(math.max(full, now) + spent * spacing, full_at_most)
local granted = 0
if full + wanted * spacing <= full_at_most + spacing / 1000000 then
  full, granted = math.min(full + wanted * spacing, full_at_most), 1
end
redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now) + 1000)
return {granted, math.ceil((full - now) * 1000), forged}
"""


class SharedBuckets:
    """Never raises for what is wrong with the broker; use it on one event loop.

    `forged` counts what was found there and is no bucket.
    """

    def __init__(self, broker_url: str, *, namespace: str = "webhookd") -> None:
        self._client = connect_async(broker_url, timeout_seconds=TIMEOUT_SECONDS)
        self._script = self._client.register_script(_SCRIPT)
        self._namespace = namespace
        self._outage = Outage("rates")
        self._away_until = 0.0
        self.forged = 0

    async def take(self, name: str, rate: Rate, spent: int, wanted: int) -> Told | None:
        """Take `wanted` tokens, all or none, after `spent` ones that were given out already.

        None where the broker does not answer within TIMEOUT_SECONDS; then it is not asked again for a second.
        An answer that is lost may have taken all the same.
        """
        if time.monotonic() < self._away_until:
            return None
        key = f"{self._namespace}:rate:{name}"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                arguments = [str(rate.spacing_ms), str(rate.burst), str(spent), str(wanted)]
                answer: Any = await self._script(keys=[key], args=arguments)
        except (redis.RedisError, OSError) as error:  # TimeoutError is one
            self._outage.noticed(error)
            self._away_until = time.monotonic() + _AWAY_SECONDS
            return None
        self._outage.over()
        granted, full_in_us, forged = answer
        self.forged += forged
        most_ms = rate.burst * rate.spacing_ms
        return Told(granted=granted == 1, full_in_ms=min(max(full_in_us / 1000, 0.0), most_ms))

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._client.aclose()
