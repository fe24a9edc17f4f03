"""The bytes of files: the same promises in a folder and on a server that speaks S3."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.bad_store import MISDEEDS, BadStore
from tests.support.plain_http import async_http_client
from tests.support.s3 import BUCKET, S3Server
from webhookd.adapters.files import Bucket, open_bucket
from webhookd.adapters.files.faults import FileGone
from webhookd.core.errors import Overloaded, SettingsError, TooLarge, Unavailable

MANY = 1 << 40


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def keys(bucket: Bucket) -> set[str]:
    return {entry.key async for entries in bucket.entries() for entry in entries}


def folder_bucket(path: Path) -> Bucket:
    return open_bucket(f"file://{quote(str(path))}")


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    if request.param == "folder":
        return folder_bucket(tmp_path / "a b#c" / "files")
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return open_bucket(f"s3://{BUCKET}/{tmp_path.name}")


@pytest.mark.parametrize("parts", [(), (b"",), (b"x",), (b"ab", b"", b"c" * 3_000_000), (b"d" * 12_000_001,)])
async def test_what_is_written_is_counted_hashed_and_read_back(
    bucket: Bucket, parts: Iterable[bytes]
) -> None:
    whole = b"".join(parts)

    stored = await bucket.put("file_1", pieces(*parts), max_bytes=MANY)

    assert (stored.size, stored.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert b"".join([part async for part in bucket.read("file_1")]) == whole
    assert await bucket.size("file_1") == len(whole)


async def test_any_range_can_be_read(bucket: Bucket) -> None:
    whole = os.urandom(9_000_000)
    await bucket.put("file_1", pieces(whole), max_bytes=MANY)

    for start, end in ((0, 1), (5, 4_194_309), (8_999_999, 9_000_000), (7, 7)):
        assert b"".join([part async for part in bucket.read("file_1", start, end)]) == whole[start:end]


@pytest.mark.parametrize("wanted", [(0, 10), (3, 6), (5, 10), (0, 9_000_000)])
async def test_a_file_that_is_shorter_than_its_row_says_is_unavailable(
    bucket: Bucket, wanted: tuple[int, int]
) -> None:
    await bucket.put("file_1", pieces(b"abcde"), max_bytes=MANY)

    with pytest.raises(Unavailable):
        async for _ in bucket.read("file_1", *wanted):
            pass


async def test_too_many_bytes_leave_nothing(bucket: Bucket) -> None:
    with pytest.raises(TooLarge):
        await bucket.put("file_1", pieces(*[b"x" * 1_000_000] * 20), max_bytes=15_000_000)

    assert await keys(bucket) == set()


async def test_a_sender_that_breaks_off_leaves_nothing(bucket: Bucket) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 7_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await bucket.put("file_1", broken(), max_bytes=MANY)

    assert await keys(bucket) == set()


async def test_a_write_that_is_cancelled_leaves_nothing(bucket: Bucket) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 7_000_000
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(bucket.put("file_1", endless(), max_bytes=MANY))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await keys(bucket) == set()


async def test_a_key_that_is_not_there_is_gone_and_may_be_removed(bucket: Bucket) -> None:
    with pytest.raises(FileGone):
        await bucket.size("file_1")
    with pytest.raises(FileGone):
        await anext(bucket.read("file_1", 0, 1))
    await bucket.remove(["file_1"])


async def test_what_is_there_is_listed_with_its_age(bucket: Bucket) -> None:
    for number in range(3):
        await bucket.put(f"file_{number}", pieces(b"x" * number), max_bytes=MANY)

    found = {entry.key: entry async for entries in bucket.entries() for entry in entries}

    assert {key: entry.size for key, entry in found.items()} == {"file_0": 0, "file_1": 1, "file_2": 2}
    assert all(abs(entry.modified_ms - time.time() * 1000) < 600_000 for entry in found.values())


async def test_whoever_has_a_signed_url_reads_an_attachment_of_the_right_type(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = open_bucket(f"s3://{BUCKET}/{tmp_path.name}")
    shown = 'attachment; filename="x.png"'
    await bucket.put("file_1", pieces(b"hello"), max_bytes=MANY, content_type="image/png", disposition=shown)

    async with async_http_client() as client:
        answer = await client.get(await bucket.get_url("file_1", 60))
        put = await client.put(await bucket.put_url("file_2", 60), content=b"world")

    assert (answer.content, answer.headers["content-type"]) == (b"hello", "image/png")
    assert answer.headers["content-disposition"] == shown
    assert put.status_code == 200
    assert [part async for part in bucket.read("file_2")] == [b"world"]


async def test_a_store_that_is_away_is_unavailable_with_retry_after(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with S3Server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = open_bucket(f"s3://{BUCKET}/{tmp_path.name}")
        await bucket.put("file_1", pieces(b"x"), max_bytes=MANY)
        server.stop()

        for call in (
            bucket.put("file_2", pieces(b"x"), max_bytes=MANY),
            bucket.size("file_1"),
            bucket.remove(["file_1"]),
        ):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.retry_after_seconds
            assert server.url not in caught.value.detail


@pytest.mark.parametrize("misdeed", MISDEEDS)
async def test_a_store_that_misbehaves_is_unavailable_within_a_bound_and_gives_no_half_files(
    misdeed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.files.bucket.CALL_SECONDS", 0.3)
    monkeypatch.setattr("webhookd.adapters.files.bucket.UNDO_SECONDS", 0.1)
    async with BadStore(misdeed) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        bucket = open_bucket(f"s3://{BUCKET}/{misdeed}")

        async def read() -> list[bytes]:
            return [part async for part in bucket.read("file_1", 0, 1_000)]

        came = await asyncio.gather(
            bucket.put("file_1", pieces(b"x"), max_bytes=MANY),
            bucket.put("file_2", pieces(*[b"x" * 1_000_000] * 12), max_bytes=MANY),
            read(),
            keys(bucket),
            return_exceptions=True,
        )

    assert [type(one) for one in came] == [Unavailable] * 4
    assert all(isinstance(one, Unavailable) and one.retry_after_seconds for one in came)


async def test_a_store_that_stalls_holds_nobody_who_removes_what_no_row_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhookd.adapters.files.bucket.UNDO_SECONDS", 0.1)
    async with BadStore("silent") as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        await open_bucket(f"s3://{BUCKET}/x").forget("file_1")
        assert store.asked.is_set()


async def test_a_folder_s_bytes_are_on_the_disk_before_the_write_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    bucket = folder_bucket(tmp_path / "files")
    await bucket.put("sub/file_1", pieces(b"x"), max_bytes=MANY)

    files = tmp_path / "files"
    assert synced == [str(tmp_path), str(files / "sub" / "file_1"), str(files / "sub"), str(files)]


async def test_a_disk_that_refuses_to_keep_the_bytes_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = folder_bucket(tmp_path / "files")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Overloaded) as caught:
        await bucket.put("file_1", pieces(b"x"), max_bytes=MANY)

    assert caught.value.retry_after_seconds
    assert await keys(bucket) == set()


async def test_what_killed_writes_left_in_a_folder_is_removed_when_it_is_old(tmp_path: Path) -> None:
    bucket = folder_bucket(tmp_path / "files")
    (tmp_path / "files" / "file_1#1").write_bytes(b"half of it")

    assert await bucket.remove_unfinished(0) == 0
    assert await bucket.remove_unfinished(int((time.time() + 60) * 1000)) == 1
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "http://host/x",
        "file://host/x",
        "file:relative",
        "s3://",
        "s3://key:secret@bucket/x",
    ],
)
def test_a_url_that_cannot_work_is_refused_with_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_FILES_URL"):
        open_bucket(url)
