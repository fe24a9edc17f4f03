"""From which figure on the doctor warns, and what it calls a problem."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from webhookd.adapters.store.upkeep.durability import network_file_system
from webhookd.core.diagnosis import (
    Finding,
    Level,
    judge_admin_key,
    judge_broker_memory,
    judge_clock,
    judge_dead_letters,
    judge_disk,
    judge_egress,
    judge_open_files,
    judge_queued,
    size,
)
from webhookd.core.egress import EgressPolicy, denied_parts, reaches_metadata

OK, WARNING, PROBLEM = Level
MIB = 1024 * 1024


def check(finding: Finding, level: Level) -> None:
    assert finding.level is level, finding
    assert bool(finding.mend) == (level is not OK), "what is wrong can be mended, and nothing else needs it"


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        (0.0, OK),
        (4.9, OK),
        (-4.9, OK),
        (5.0, WARNING),
        (-59.9, WARNING),
        (60.0, PROBLEM),
        (-7_200.0, PROBLEM),
    ],
)
def test_clocks(seconds: float, level: Level) -> None:
    check(judge_clock(seconds, whose="the database"), level)


def test_clock_says_which_way() -> None:
    assert "90 s ahead of that of the broker" in judge_clock(90, whose="the broker").what
    assert "90 s behind that of the broker" in judge_clock(-90, whose="the broker").what


@pytest.mark.parametrize(("free", "level"), [(400, OK), (399, WARNING), (100, WARNING), (99, PROBLEM)])
def test_disk(free: int, level: Level) -> None:
    check(judge_disk(free, 100, where="/data"), level)


@pytest.mark.parametrize(
    ("used", "limit", "level"),
    [(10**12, 0, OK), (79, 100, OK), (80, 100, WARNING), (99, 100, WARNING), (100, 100, PROBLEM)],
)
def test_memory_of_the_broker(used: int, limit: int, level: Level) -> None:
    check(judge_broker_memory(used, limit), level)


@pytest.mark.parametrize(("waiting", "level"), [(79, OK), (80, WARNING), (99, WARNING), (100, PROBLEM)])
def test_waiting_tasks(waiting: int, level: Level) -> None:
    check(judge_queued(waiting, 100), level)


@pytest.mark.parametrize(("limit", "level"), [(4_096, OK), (4_095, WARNING)])
def test_open_files(limit: int, level: Level) -> None:
    check(judge_open_files(limit, whose="It"), level)


@pytest.mark.parametrize(
    ("total", "last_day", "level"),
    [(0, 0, OK), (99, 99, OK), (100, 100, WARNING), (999, 0, OK), (1_000, 0, WARNING)],
)
def test_dead_letters(total: int, last_day: int, level: Level) -> None:
    check(judge_dead_letters(total, last_day), level)


@pytest.mark.parametrize(
    ("key", "level"),
    [
        ("0123456789abcdef01234567", OK),
        ("0123456789abcdef0123456", WARNING),
        ("abcabcabcabcabcabcabcabcabc", WARNING),
        ("short", PROBLEM),
        ("with a space in it, and long", PROBLEM),
    ],
)
def test_admin_key_is_never_repeated(key: str, level: Level) -> None:
    finding = judge_admin_key(key)
    check(finding, level)
    assert key not in finding.what + finding.mend


@pytest.mark.parametrize(
    ("allow", "levels"),
    [
        ("", [OK]),
        ("hooks.example,*.corp.example", [OK]),
        ("8.8.8.0/24", [OK]),
        ("10.1.2.3:8443", [WARNING]),
        ("10.0.0.0/8,169.254.169.254,x.example", [WARNING, PROBLEM, OK]),
        ("::/0", [PROBLEM]),
    ],
)
def test_egress(allow: str, levels: list[Level]) -> None:
    findings = judge_egress(EgressPolicy.parse(allow))
    assert [finding.level for finding in findings] == levels
    for finding in findings:
        check(finding, finding.level)


def test_what_an_exception_opens_is_read_off_the_tables() -> None:
    assert denied_parts(ip_network("8.8.8.8/32")) == []
    assert denied_parts(ip_network("10.1.0.0/16")) == [ip_network("10.0.0.0/8")]
    assert denied_parts(ip_network("192.168.0.0/15")) == [ip_network("192.168.0.0/16")]
    assert denied_parts(ip_network("2a00::/16")) == []
    assert denied_parts(ip_network("2001:db8:1::/48")) == [ip_network("2001:db8::/32")]
    assert denied_parts(ip_network("fd00::/8")) == [ip_network("fd00::/8")]
    assert reaches_metadata(ip_network("169.254.0.0/16"))
    assert reaches_metadata(ip_network("fd00::/8"))
    assert not reaches_metadata(ip_network("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_536, "1.5 KiB"),
        (20 * MIB, "20 MiB"),
        (3 * 1024 * MIB, "3.0 GiB"),
        (5_000 * 1024 * MIB, "4.9 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("/dev/a / ext4 rw 0 0", None),
        ("/dev/a / ext4 rw 0 0\nserver:/x /srv nfs4 rw 0 0", "nfs4"),
        ("server:/x / nfs rw 0 0\n/dev/b /srv/data ext4 rw 0 0", None),
        ("/dev/a / ext4 rw 0 0\nserver:/x /srv/dat nfs4 rw 0 0", None),
        ("/dev/a / ext4 rw 0 0\nx /srv/data fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("/dev/a / ext4 rw 0 0\n//nas/x /srv/data cifs rw 0 0\n/dev/c /srv/data xfs rw 0 0", None),
        ("nonsense\n\n", None),
    ],
)
def test_network_file_systems_are_told_by_the_mount_the_file_is_on(mounts: str, kind: str | None) -> None:
    assert network_file_system(Path("/srv/data/webhookd.db"), mounts) == kind


def test_mount_points_with_spaces_are_found() -> None:
    mounts = "/dev/a / ext4 rw 0 0\nserver:/x /srv/my\\040data nfs rw 0 0"
    assert network_file_system(Path("/srv/my data/webhookd.db"), mounts) == "nfs"
