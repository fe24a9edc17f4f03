"""What `webhookd doctor` finds, and where a figure becomes a warning or a problem.

A problem is something that does not work, or that breaks a promise, now. A warning is what will become
one, or what somebody should decide. How the figures are got is `wiring.doctor`'s.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from webhookd.core.api_keys import operator_key_hash
from webhookd.core.egress import EgressPolicy, denied_parts, reaches_metadata
from webhookd.core.errors import SettingsError

CLOCK_WARNING_SECONDS: Final = 5.0
CLOCK_PROBLEM_SECONDS: Final = 60.0
"""Receivers refuse signatures of more than 5 minutes ago (Standard Webhooks); several clocks add up."""
MEMORY_WARNING_SHARE: Final = 0.8
QUEUED_WARNING_SHARE: Final = 0.8
DISK_WARNING_TIMES: Final = 4
LEAST_OPEN_FILES: Final = 4_096
GOOD_KEY_LENGTH: Final = 24
GOOD_KEY_CHARACTERS: Final = 10
DEAD_WARNING: Final = 100


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check: what it means, and (empty where all is well) how to mend it."""

    level: Level
    what: str
    mend: str = ""


def ok(what: str) -> Finding:
    """Return that all is well."""
    return Finding(level=Level.OK, what=what)


def warning(what: str, mend: str) -> Finding:
    """Return a warning."""
    return Finding(level=Level.WARNING, what=what, mend=mend)


def problem(what: str, mend: str) -> Finding:
    """Return a problem."""
    return Finding(level=Level.PROBLEM, what=what, mend=mend)


def judge_clock(ahead_seconds: float, *, whose: str) -> Finding:
    """Judge how far this machine's clock is ahead of another's (negative: behind it)."""
    apart = abs(ahead_seconds)
    if apart < CLOCK_WARNING_SECONDS:
        return ok(f"This machine and {whose} agree on the time to {max(apart, 0.1):.1f} s.")
    what = (
        f"This machine's clock is {apart:,.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} that of "
        f"{whose}. Receivers refuse signatures that are more than 5 minutes off."
    )
    mend = (
        "Let NTP (chrony, systemd-timesyncd) set the clock on both machines: `timedatectl` shows its state."
    )
    return problem(what, mend) if apart >= CLOCK_PROBLEM_SECONDS else warning(what, mend)


def judge_disk(free_bytes: int, least_bytes: int, *, where: str) -> Finding:
    """Judge the free space; `least_bytes` is WEBHOOKD_MIN_FREE_DISK_BYTES."""
    room = f"{size(free_bytes)} free where {where} is"
    mend = "Free some space, set WEBHOOKD_RETENTION_* so that old rows are deleted, or move to a larger disk."
    if free_bytes < least_bytes:
        return problem(
            f"{room}, less than WEBHOOKD_MIN_FREE_DISK_BYTES ({size(least_bytes)}): submissions get 503.",
            mend,
        )
    if free_bytes < DISK_WARNING_TIMES * least_bytes:
        return warning(f"{room}; below {size(least_bytes)} submissions get 503.", mend)
    return ok(f"{room}.")


def judge_broker_memory(used_bytes: int, limit_bytes: int) -> Finding:
    """Judge the broker's memory; `limit_bytes` 0 is no limit."""
    if not limit_bytes:
        return ok(f"The broker uses {size(used_bytes)}, without a limit.")
    share = used_bytes / limit_bytes
    figures = f"The broker uses {size(used_bytes)} of its {size(limit_bytes)} (maxmemory)"
    mend = (
        "Raise its maxmemory, or find out what else is kept in it: what webhookd keeps there is small. "
        "Emptying it (FLUSHALL) loses no work."
    )
    if share >= 1:
        return problem(f"{figures}: it refuses writes, and submissions get 503.", mend)
    if share >= MEMORY_WARNING_SHARE:
        return warning(f"{figures}; when it is full, submissions get 503.", mend)
    return ok(f"{figures}.")


def judge_queued(waiting: int, most: int) -> Finding:
    """Judge how many tasks wait in all; `most` is WEBHOOKD_MAX_QUEUED."""
    figures = f"{waiting:,} tasks wait, of at most {most:,} (WEBHOOKD_MAX_QUEUED)"
    mend = "Run more workers (`webhookd queues` shows how many are wanted), or raise the limit."
    if waiting >= most:
        return problem(f"{figures}: submissions get 503.", mend)
    if waiting >= QUEUED_WARNING_SHARE * most:
        return warning(f"{figures}; beyond that submissions get 503.", mend)
    return ok(f"{figures}.")


def judge_open_files(limit: int, *, whose: str) -> Finding:
    """Judge the limit of open files a process may raise its own to."""
    if limit < LEAST_OPEN_FILES:
        return warning(
            f"{whose} may open {limit:,} files at most; each watcher, request and attempt is one.",
            "Raise the hard limit: LimitNOFILE=65536 for systemd, `ulimit -Hn 65536`, --ulimit for docker.",
        )
    return ok(f"{whose} may open {limit:,} files.")


def judge_dead_letters(total: int, last_day: int) -> Finding:
    """Judge the dead letters nobody has acted on; counts may be cut off at a bound."""
    if not total:
        return ok("No dead letters.")
    what = f"{total:,} dead letters wait for somebody, {last_day:,} of the last 24 hours."
    if last_day < DEAD_WARNING and total < 10 * DEAD_WARNING:
        return ok(what)
    return warning(
        what,
        "`webhookd dead-letters summary` tells where and why. When the cause of some is mended, "
        "`webhookd replay --endpoint ID --dry-run` counts those, and without --dry-run brings them back; "
        "`webhookd discard` strikes others off; WEBHOOKD_RETENTION_DEAD_LETTERS_DAYS deletes old ones.",
    )


def judge_admin_key(text: str) -> Finding:
    """Judge WEBHOOKD_ADMIN_KEY; the text itself is never repeated."""
    mend = "Make one with `openssl rand -hex 24`, set it, and restart the API processes."
    try:
        operator_key_hash(text)
    except SettingsError as error:
        return problem(error.detail, mend)
    if len(text) < GOOD_KEY_LENGTH or len(set(text)) < GOOD_KEY_CHARACTERS:
        return warning(
            "WEBHOOKD_ADMIN_KEY, which opens everything, could be guessed: it is short or repeats itself.",
            mend,
        )
    return ok("WEBHOOKD_ADMIN_KEY is set.")


def judge_egress(policy: EgressPolicy) -> list[Finding]:
    """Judge what WEBHOOKD_EGRESS_ALLOW opens, entry by entry."""
    findings = []
    for rule in policy.networks:
        entry = f"{rule.network}" + ("" if rule.port is None else f", port {rule.port}")
        if reaches_metadata(rule.network):
            findings.append(
                problem(
                    f"WEBHOOKD_EGRESS_ALLOW lets callbacks reach cloud metadata services ({entry}), which "
                    "hand out this machine's credentials.",
                    "Name only the receivers' own addresses and ports, such as 10.1.2.3:8443.",
                )
            )
        elif opened := denied_parts(rule.network):
            findings.append(
                warning(
                    f"WEBHOOKD_EGRESS_ALLOW lets any partner's callbacks reach {entry}, which is not public "
                    f"({', '.join(map(str, opened))}).",
                    "Where receivers live there, keep it to their addresses and ports. Else take it out.",
                )
            )
    names = [f"*.{rule.name}" if rule.below else rule.name for rule in policy.names]
    if names:
        findings.append(ok(f"Allowed by name, whatever they resolve to: {', '.join(names)}."))
    return findings or [ok("Callbacks reach public addresses only.")]


def size(count: int) -> str:
    """Return bytes for people: `512 B`, `1.5 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"
