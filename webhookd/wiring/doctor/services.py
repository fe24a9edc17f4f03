"""The database and the broker: there, fit, keeping what they are told, and of one time with this machine."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from webhookd.adapters.broker.health import OUT_OF_MEMORY
from webhookd.adapters.broker.rights import Right
from webhookd.adapters.store.clock import read_clock
from webhookd.adapters.store.drivers import shown
from webhookd.adapters.store.migrate import newest_revision
from webhookd.adapters.store.upkeep.durability import network_file_system, postgres_settings
from webhookd.core.diagnosis import Finding, judge_broker_memory, judge_clock, ok, problem, warning
from webhookd.core.errors import SettingsError
from webhookd.wiring.doctor.installation import Installation
from webhookd.wiring.process import sqlite_path

_MOUNTS = Path("/proc/self/mounts")


async def database(installation: Installation) -> Sequence[Finding]:
    """Reach it, and look whether its schema is this release's."""
    try:
        db = await installation.open_database()
    except SettingsError as error:
        return [
            problem(
                error.detail,
                "Nothing is accepted without it: see that it runs, that the URL, user and password are "
                "right, and that a file can be read and written by this account.",
            )
        ]
    found, needed = await installation.revision(), newest_revision()
    where = shown(db.url)
    if found == needed:
        through = (
            " A connection pooler stands between: transactions do without named statements and settings of "
            "a session, which costs round trips."
        )
        return [
            ok(f"{where} answers; its schema is revision {needed}.{through if db.pooled else ''}"),
        ]
    if found is not None and found > needed:
        return [
            problem(
                f"The schema of {where} is revision {found}, of a newer release; this one knows {needed}.",
                "Install the newer release here too; to go back to this one, restore a backup.",
            )
        ]
    return [
        problem(
            f"The schema of {where} is {'not there' if found is None else f'revision {found}'}; this release "
            f"needs {needed}, and no process starts without.",
            "Run `webhookd migrate` (`webhookd up` does so itself), after a backup.",
        )
    ]


async def durability(installation: Installation) -> Sequence[Finding]:
    """Look whether a commit is on disk when the database says so: promise P1 of every 202."""
    path = sqlite_path(installation.settings)
    if path is not None:
        return await _sqlite_durability(installation, path)
    db = await installation.reached()
    found = await db.read(postgres_settings)
    findings = [
        problem(
            f"PostgreSQL runs with {name}={found[name]}: {means}, although it was answered with 202.",
            f"Set {name} to on (ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf(), or ALTER ROLE … RESET "
            "for this user).",
        )
        for name, means in (
            ("fsync", "a power loss can lose or corrupt everything"),
            ("full_page_writes", "a power loss can corrupt pages"),
            ("synchronous_commit", "a crash of the server loses the last fractions of a second"),
        )
        if found[name] == "off"
    ]
    return findings or [ok(f"PostgreSQL {found['server_version'].split()[0]} has every commit on disk.")]


async def _sqlite_durability(installation: Installation, path: Path) -> Sequence[Finding]:
    findings: list[Finding] = []
    if (kind := await asyncio.to_thread(_network_file_system, path)) is not None:
        findings.append(
            problem(
                f"{path} lies on a network file system ({kind}), where SQLite's locks and its shared memory "
                "are not reliable: the database can be corrupted.",
                "Move the data dir to a disk of this machine, or use PostgreSQL (WEBHOOKD_DATABASE_URL).",
            )
        )
    await installation.reached()
    if installation.journal_mode not in (None, "wal"):
        findings.append(
            warning(
                f"The journal mode of {path} was {installation.journal_mode}, not wal: something else has "
                "changed it.",
                "webhookd turns WAL on whenever it opens the file, as this look just has; leave the file to "
                "it alone. If you read this again, the file system cannot do it: use another.",
            )
        )
    return findings or [ok("SQLite writes ahead (WAL) and has every commit on disk.")]


def _network_file_system(path: Path) -> str | None:
    return network_file_system(path, _MOUNTS.read_text(errors="replace")) if _MOUNTS.exists() else None


async def broker(installation: Installation) -> Sequence[Finding]:
    """Reach it, and look at its memory and what it does when that is short."""
    try:
        found = await installation.broker()
    except (SettingsError, OSError) as error:
        return [problem(str(error), "Mend WEBHOOKD_BROKER_URL, or leave it empty for the embedded broker.")]
    if found is None:
        return [
            ok("No embedded broker runs just now; `webhookd up` starts it, and starts it again when it dies.")
        ]
    status = found.status
    if found.lacking:
        return [_lacking(found.lacking)]
    if status.reason not in (None, OUT_OF_MEMORY):
        return [
            problem(
                f"The broker does not serve ({status.reason}). No work is lost, since workers look at the "
                "database every second; but it starts later, and /readyz says degraded.",
                "See that it runs and that WEBHOOKD_BROKER_URL has its address and password.",
            )
        ]
    findings = [ok(f"{found.server or 'The broker'} answers.")]
    if status.used_memory_bytes is not None:
        findings.append(judge_broker_memory(status.used_memory_bytes, status.max_memory_bytes or 0))
    if found.policy not in (None, "noeviction"):
        findings.append(
            warning(
                f"Short of memory, the broker throws keys away (maxmemory-policy {found.policy}): hints and "
                "totals of metrics get lost, and work starts up to a second later.",
                "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file.",
            )
        )
    if found.persistent is False:
        findings.append(
            ok(
                "The broker keeps nothing on disk. That is harmless: it holds hints, the database is the "
                "record."
            )
        )
    return findings


def _lacking(rights: Sequence[Right]) -> Finding:
    words = " ".join(f"+{right.word}" for right in rights)
    serves = ", ".join(dict.fromkeys(right.serves for right in rights))
    return problem(
        f"The broker refuses its user what the work needs ({serves}): the commands {words}, or the keys and "
        "the channel they are for. No work is lost; what they serve goes slower, or is not there.",
        "Give the user the rights of the line in docs/how-to/run-with-postgresql.md (ACL SETUSER).",
    )


async def clocks(installation: Installation) -> Sequence[Finding]:
    """Compare this machine's clock with the database's and the broker's."""
    findings: list[Finding] = []
    if sqlite_path(installation.settings) is None:
        db = await installation.reached()
        asked_at = time.time()
        seconds = await db.read(read_clock)
        findings.append(judge_clock((asked_at + time.time()) / 2 - seconds, whose="the database"))
    try:
        found = await installation.broker()
    except (SettingsError, OSError):
        found = None
    if found is not None and found.ahead_seconds is not None:
        findings.append(judge_clock(found.ahead_seconds, whose="the broker"))
    return findings or [ok("This machine's clock is the only one; there is nothing to compare it with.")]
