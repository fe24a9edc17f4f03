"""What a page says after a form has done its work. The URL carries a name only, never a text."""

from collections.abc import Mapping
from typing import Final

NOTICE: Final = "notice"

NOTICES: Final[Mapping[str, str]] = {
    "replayed": "Replayed. What was dead is on its way again.",
    "discarded": "Discarded. The audit keeps who did it and why.",
    "replay-started": "The replay has begun.",
    "discard-started": "The discard has begun.",
    "replay-cancelled": "Cancelled. What it has done stays done.",
    "rate-changed": "The rate is changed.",
    "paused": "Paused.",
    "resumed": "Resumed.",
    "due-now": "The delivery is due now.",
    "delivery-cancelled": "The delivery is cancelled.",
    "disabled": "Disabled. What is for it is parked until it is enabled.",
    "enabled": "Enabled. What was parked is on its way.",
    "retrying": "All that waited is due now.",
    "saved": "Saved.",
    "deleted": "Deleted.",
    "uploaded": "Uploaded. A task takes it by its id.",
    "task-cancelled": "The task is cancelled, or its function is told to stop.",
    "batch-closed": "Closed. Its webhook is sent once all of its tasks have ended.",
    "batch-cancelled": "Cancelled. Tasks that wait are cancelled, those that run are told to stop.",
    "running-again": "A new task runs the same again.",
    "suspended": "Suspended. Its keys are refused within a few seconds.",
    "unsuspended": "The partner may call again.",
    "revoked": "Revoked. The key is refused within a few seconds.",
    "logged-out": "You are logged out.",
}
