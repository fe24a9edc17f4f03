"""How long outages last and how much piles up: short every day, at full length with `make faults-long`."""

import os

OUTAGE_SECONDS = float(os.environ.get("WEBHOOKD_TEST_OUTAGE_SECONDS", "4"))
"""Longer than a lease."""

BACKLOG = int(os.environ.get("WEBHOOKD_TEST_BACKLOG", "400"))
"""What is due when a receiver comes back, at least 400."""

SETTLE_SECONDS = max(60.0, BACKLOG / 50)
