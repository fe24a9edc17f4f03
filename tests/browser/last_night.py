"""A night's dead letters, written where they would stand: to let them die by themselves would take the night.

For the pictures of the docs only.
"""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

HOURS: Final = 8
ATTEMPTS: Final = 14
_ATTEMPTS: Final = """
INSERT INTO attempts (delivery_id, number, at_ms, duration_us, dns_us, connect_us, tls_us, first_byte_us,
                      status, error, headers, excerpt)
SELECT d.id, k, d.ended_ms - (14 - k) * 900000, 231000 + abs(random() % 90000), 2100, 11800, 38000,
       160000 + abs(random() % 20000), ?, ?, '[["content-type", "application/json"], ["server", "nginx"]]', ?
FROM deliveries d,
     (WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 14) SELECT k FROM n)
WHERE d.endpoint_id = ? AND d.state = 'dead' AND d.attempts = 14
"""


def write(folder: Path, endpoints: Mapping[str, int]) -> None:
    """Let what is parked for these endpoints have died, each for the status that is named."""
    now_ms = int(time.time() * 1000)
    with closing(sqlite3.connect(folder / ".webhookd" / "webhookd.db", timeout=30)) as database, database:
        for endpoint, status in endpoints.items():
            error = f"http_{status}"
            database.execute(
                "UPDATE deliveries SET state = 'dead', dead_reason = 'exhausted', "
                "attempts = ?, max_attempts = ?, last_status = ?, last_error = ?, "
                "ended_ms = ? - abs(random() % ?), due_ms = NULL "
                "WHERE endpoint_id = ? AND state = 'parked'",
                (ATTEMPTS, ATTEMPTS, status, error, now_ms, HOURS * 3_600_000, endpoint),
            )
            said = '{"error": "relation \\"orders\\" does not exist"}'
            database.execute(_ATTEMPTS, (status, error, said, endpoint))
