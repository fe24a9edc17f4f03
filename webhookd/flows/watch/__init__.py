"""Telling whoever waits that a task has changed: long polls, event streams and WebSockets alike.

`watchers` hears of changes and reads them once for everybody; `watch` is one waiter's side; `snapshots`
keeps what was read for a moment; `fresh` reads the present rows for all who ask; `ends` finds
what signals did not tell. How a waiter is written to is the API's business.
"""

from webhookd.flows.watch.snapshots import Snapshot
from webhookd.flows.watch.watch import Ended, Watch
from webhookd.flows.watch.watchers import Watchers

__all__ = ["Ended", "Snapshot", "Watch", "Watchers"]
