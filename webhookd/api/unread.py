"""What partners have asked for and do not read: bounded by partner, all its connections together."""

from collections import Counter
from typing import Final

from starlette.types import Message, Send

from webhookd.core.errors import RateLimited

MOST_UNREAD_BYTES: Final = 33_554_432
RETRY_SECONDS: Final = 1.0


class Unread:
    """Bytes of answers that are written and not yet taken by the socket, by owner.

    Who has too many gets no further read until some are taken, or cut off with their connection. Use it on
    one event loop.
    """

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()

    def refuse_slow(self, owner: str) -> None:
        """Raise RateLimited where the owner leaves too much unread."""
        if self._bytes[owner] > MOST_UNREAD_BYTES:
            raise RateLimited(
                "Answers to this partner are left unread on its connections; read or close them first.",
                retry_after_seconds=RETRY_SECONDS,
            )

    def counted(self, send: Send, owner: str) -> Send:
        """Return `send`, with the bytes of each message counted until it returns: see `Answering.send`."""

        async def counting(message: Message) -> None:
            size = len(message.get("body", b""))
            self._bytes[owner] += size
            try:
                await send(message)
            finally:
                self._bytes[owner] -= size
                if not self._bytes[owner]:
                    del self._bytes[owner]

        return counting
