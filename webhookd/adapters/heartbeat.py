"""A page of memory that a process shares with its supervisor: signs of life, and what it would leave behind.

The process counts beats on its event loop. A loop that stands beats no more, whatever holds it up, and the
supervisor sees the count stand. Besides there are: when the soonest time limit of a running function has
surely passed, so that one that holds the GIL is not waited for longer than it may run; and the session whose
tasks are to be taken back, should the process die. The page outlives the process: the supervisor reads from
it what was left.

Times are `time.monotonic()`, which all processes of a machine share. A page without a supervisor is only
this process's own.
"""

import asyncio
import mmap
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "_WEBHOOKD_HEARTBEAT_FD"
LONGEST_BEAT_SECONDS: Final = 0.5

_SIZE: Final = 4096
_BEATS, _LIMIT, _OVERRAN, _SESSION = (struct.Struct(one) for one in ("<Q", "<d", "<d", "<64s"))
_BEATS_AT, _LIMIT_AT, _OVERRAN_AT, _SESSION_AT = 0, 8, 16, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a dead process left: its session, and how long ago it was killed for a time limit, if it was."""

    session_id: str
    overran_seconds_ago: float | None


class Heartbeat:
    """One page. The supervisor makes it with `shared()`, the process opens it with `inherited()`."""

    def __init__(self, page: mmap.mmap, file: int | None = None) -> None:
        self._page = page
        self.file = file

    @classmethod
    def shared(cls) -> "Heartbeat":
        """Make a page to be passed to a child: `file` is to be inherited, its number told by `VARIABLE`."""
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("webhookd-heartbeat")
        else:
            file, path = tempfile.mkstemp(prefix="webhookd-heartbeat-")
            Path(path).unlink()
        os.ftruncate(file, _SIZE)
        return cls(mmap.mmap(file, _SIZE), file)

    @classmethod
    def inherited(cls) -> "Heartbeat":
        """Open the page of this process's supervisor, or make one of its own where there is none.

        To be called once; what this process starts does not inherit it.
        """
        number = os.environ.pop(VARIABLE, None)
        if number is None:
            return cls(mmap.mmap(-1, _SIZE))
        page = mmap.mmap(int(number), _SIZE)
        os.close(int(number))
        return cls(page)

    # ── the process's side ──

    async def keep(self, lease_seconds: float) -> None:
        """Beat until cancelled."""
        beats = 0
        while True:
            beats += 1
            _BEATS.pack_into(self._page, _BEATS_AT, beats)
            await asyncio.sleep(min(LONGEST_BEAT_SECONDS, lease_seconds / 6))

    def limit(self, at: float | None) -> None:
        """Say when the soonest time limit has surely passed; None where no function runs here."""
        _LIMIT.pack_into(self._page, _LIMIT_AT, at or 0.0)

    def holds(self, session_id: str) -> None:
        """Say under which session this process holds tasks; an empty one: it holds none."""
        _SESSION.pack_into(self._page, _SESSION_AT, session_id.encode())

    # ── the supervisor's side ──

    def rest(self) -> None:
        """Forget the beats: the next process has not begun."""
        _BEATS.pack_into(self._page, _BEATS_AT, 0)
        _LIMIT.pack_into(self._page, _LIMIT_AT, 0.0)

    def beats(self) -> int:
        """Return how many there were; 0 where the process has not begun."""
        beats: int = _BEATS.unpack_from(self._page, _BEATS_AT)[0]
        return beats

    @property
    def session_id(self) -> str:
        """The session under which the process holds tasks; empty where it holds none."""
        (text,) = _SESSION.unpack_from(self._page, _SESSION_AT)
        name: bytes = text.rstrip(b"\0")
        return name.decode()

    def overrun(self, now: float) -> bool:
        """Whether a running function has had more than its time."""
        (at,) = _LIMIT.unpack_from(self._page, _LIMIT_AT)
        return bool(at) and now > at

    def condemn(self, now: float) -> None:
        """Note that the process is killed because a function had more than its time."""
        _OVERRAN.pack_into(self._page, _OVERRAN_AT, now)

    def left(self, now: float) -> Left | None:
        """Return what the dead process left, and forget it; None where it had given up its session."""
        session_id = self.session_id
        (overran,) = _OVERRAN.unpack_from(self._page, _OVERRAN_AT)
        _SESSION.pack_into(self._page, _SESSION_AT, b"")
        _OVERRAN.pack_into(self._page, _OVERRAN_AT, 0.0)
        if not session_id:
            return None
        return Left(session_id=session_id, overran_seconds_ago=now - overran if overran else None)

    def close(self) -> None:
        """Give the page up."""
        self._page.close()
        if self.file is not None:
            os.close(self.file)
