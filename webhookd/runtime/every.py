"""Doing something again and again, through outages of what it needs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from webhookd.core.errors import WebhookdError
from webhookd.runtime.outage import Outage

_log = logging.getLogger(__name__)


async def every(
    seconds: float,
    step: Callable[[], Awaitable[None]],
    *,
    outage: Outage | None = None,
    after_failure_seconds: float = 0.0,
    survives_defects: bool = False,
) -> None:
    """Do `step`, pause, and begin again, until cancelled.

    With `outage` a WebhookdError is told and outlasted. `survives_defects`: so is anything else, where a
    stale answer is better than a process that starts again. The pause after a failure may be longer.
    """
    while True:
        pause_seconds = seconds
        try:
            await step()
            if outage is not None:
                outage.over()
        except Exception as error:
            if outage is not None and isinstance(error, WebhookdError):
                outage.noticed(error)
            elif survives_defects:
                _log.exception("%s failed", step.__qualname__)
            else:
                raise
            pause_seconds = max(seconds, after_failure_seconds)
        await asyncio.sleep(pause_seconds)
