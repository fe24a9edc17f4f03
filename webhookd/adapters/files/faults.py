"""What goes wrong with the file store, as errors of ours. The store's own words are for logs only."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Final

import structlog
from obstore.exceptions import BaseError

from webhookd.core.errors import Overloaded, Unavailable

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 5.0
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS: Final = tuple(f"os error {number}" for number in _FULL)


class FileGone(FileNotFoundError):
    """Raised where the store has no bytes under a key."""


@contextlib.asynccontextmanager
async def as_ours(seconds: float) -> AsyncIterator[None]:
    """Turn the store's errors into ours, and give it no longer than this."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except FileNotFoundError as error:
        raise FileGone(str(error)) from error
    except TimeoutError as error:
        raise _away("it does not answer in time") from error
    except (BaseError, OSError, EOFError) as error:
        if _is_full(error):
            log.warning("file_store_full", reason=_first_line(error))
            raise Overloaded("The file store is full.", retry_after_seconds=AGAIN_SECONDS) from error
        raise _away(_first_line(error)) from error


def _away(reason: str) -> Unavailable:
    log.warning("file_store_away", reason=reason)
    return Unavailable(
        "The file store cannot be reached.", retry_after_seconds=AGAIN_SECONDS, reason=f"file store: {reason}"
    )


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error)
    return any(full in text for full in _FULL_TEXTS)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
