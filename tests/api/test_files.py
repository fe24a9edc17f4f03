"""Files over HTTP: up, down, announced, listed, deleted, and what is sent that should not be."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from tests.support.api_face import Face, PartnerFace
from tests.support.bad_store import BadStore
from tests.support.live_api import Live
from tests.support.plain_http import async_http_client
from tests.support.s3 import BUCKET, S3Server
from tests.support.work import submission_of, task_of
from webhookd.adapters.files import Bucket, open_bucket
from webhookd.adapters.store.tasks.tasks import cancel_task
from webhookd.core.errors import Overloaded, Unavailable

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
def face(sqlite_face: Face) -> Face:
    """On one database: what the rows do on either is in tests/contract."""
    return sqlite_face


@pytest.fixture
async def partner(face: Face) -> PartnerFace:
    return await face.partner()


async def uploaded(client: httpx.AsyncClient, content: bytes = b"hello", name: str = "photo.jpg") -> Any:
    answer = await client.post("/v1/files", params={"name": name}, content=content, headers=JPEG)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def stored_keys(bucket: Bucket) -> set[str]:
    return {entry.key async for entries in bucket.entries() for entry in entries}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


async def test_raw_bytes_are_stored_counted_and_hashed(partner: PartnerFace) -> None:
    content = os.urandom(3_000_000)
    answer = await partner.client.post("/v1/files?name=photo.jpg", content=content, headers=JPEG)

    assert answer.status_code == 201
    file = answer.json()
    assert answer.headers["location"] == f"/v1/files/{file['id']}"
    assert (file["name"], file["content_type"], file["size"]) == ("photo.jpg", "image/jpeg", len(content))
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert (file["state"], file["kind"], file["task_id"], file["expires_at"]) == (
        "ready",
        "input",
        None,
        None,
    )

    seen = (await partner.client.get(f"/v1/files/{file['id']}")).json()
    changing = {"download_url", "download_expires_at"}
    assert {k: v for k, v in seen.items() if k not in changing} == {
        k: v for k, v in file.items() if k not in changing
    }
    down = await partner.client.get(file["url"])
    assert (down.status_code, down.content) == (200, content)
    assert down.headers["content-type"] == "image/jpeg"
    assert down.headers["content-length"] == str(len(content))
    assert down.headers["x-content-type-options"] == "nosniff"
    assert down.headers["content-disposition"] == 'attachment; filename="photo.jpg"'
    assert down.headers["etag"] == f'"{file["sha256"]}"'


async def test_a_form_with_one_part_is_taken_with_its_name_and_type(partner: PartnerFace) -> None:
    content = os.urandom(500_000)
    form = {"file": ("C:\\fakepath\\résumé.pdf", content, "application/pdf")}
    answer = await partner.client.post("/v1/files", files=form)

    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["name"], file["content_type"], file["size"]) == ("résumé.pdf", "application/pdf", 500_000)
    down = await partner.client.get(file["url"])
    assert down.content == content
    assert "filename*=UTF-8''r%C3%A9sum%C3%A9.pdf" in down.headers["content-disposition"]


@pytest.mark.parametrize("cut", [10, 60, 200, -5, -30])
async def test_a_form_that_is_broken_off_is_refused(face: Face, partner: PartnerFace, cut: int) -> None:
    request = partner.client.build_request("POST", "/v1/files", files={"file": ("a.txt", b"x" * 100)})
    whole = await request.aread()
    headers = {"Content-Type": request.headers["content-type"]}

    answer = await partner.client.post("/v1/files", content=whole[:cut], headers=headers)

    assert problem(answer) == (422, "invalid")
    assert await stored_keys(face.parts.files) == set()


async def test_a_form_with_two_parts_is_refused(face: Face, partner: PartnerFace) -> None:
    form = [("a", ("a.txt", b"x")), ("b", ("b.txt", b"y"))]

    assert problem(await partner.client.post("/v1/files", files=form)) == (422, "invalid")
    assert await stored_keys(face.parts.files) == set()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a\\b",
        "a\r\nSet-Cookie: x",
        "a\tb",
        "\u202egpj.exe",
        " a",
        "x" * 256,
    ],
)
async def test_a_name_is_a_name_and_no_path(partner: PartnerFace, name: str) -> None:
    answer = await partner.client.post("/v1/files", params={"name": name}, content=b"x", headers=JPEG)

    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["path"] == "$.name"


@pytest.mark.parametrize("content_type", ["nonsense", "text/html\x01", "a/b; c", "x" * 300 + "/y"])
async def test_a_content_type_is_a_media_type(partner: PartnerFace, content_type: str) -> None:
    answer = await partner.client.post(
        "/v1/files?name=a", content=b"x", headers={"Content-Type": content_type}
    )

    assert problem(answer) == (422, "invalid")


async def test_a_file_with_script_is_saved_and_never_shown(partner: PartnerFace) -> None:
    script = b"<script>alert(1)</script>"
    answer = await partner.client.post(
        "/v1/files", params={"name": 'a";x=".html'}, content=script, headers={"Content-Type": "text/html"}
    )

    down = await partner.client.get(answer.json()["url"])

    assert down.headers["content-disposition"].startswith('attachment; filename="a_;x=_.html";')
    assert down.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in down.headers["content-security-policy"]


async def test_a_file_over_the_limit_is_too_large_whether_or_not_its_length_is_told(
    face: Face, partner: PartnerFace
) -> None:
    small = await face.client(partner.key, options=replace(face.parts.options, files_max_bytes=1_000_000))

    async def untold() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 500_000

    for content in (b"x" * 1_000_001, untold()):
        answer = await small.post("/v1/files?name=a", content=content)
        assert problem(answer) == (413, "too_large")
    form = await small.post("/v1/files", files={"file": ("a", b"x" * 1_000_001)})
    assert problem(form) == (413, "too_large")
    assert await stored_keys(face.parts.files) == set()


async def test_a_sender_that_breaks_off_leaves_nothing(face: Face, partner: PartnerFace) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ClientDisconnect

    with pytest.raises(AssertionError):  # httpx's, since nobody is answered
        await partner.client.post("/v1/files?name=a", content=broken())

    assert await stored_keys(face.parts.files) == set()
    assert (await partner.client.get("/v1/files")).json()["data"] == []


async def test_compressed_bytes_are_not_taken_for_the_file(partner: PartnerFace) -> None:
    answer = await partner.client.post("/v1/files?name=a", content=b"x", headers={"Content-Encoding": "gzip"})

    assert problem(answer) == (415, "unsupported_media_type")


async def test_the_quota_is_stored_bytes_and_a_deleted_file_gives_them_back(
    face: Face, partner: PartnerFace
) -> None:
    tight = await face.client(partner.key, options=replace(face.parts.options, partner_max_file_bytes=10))
    file = await uploaded(tight, b"x" * 8)

    refused = await tight.post("/v1/files?name=a", content=b"yyy")
    assert problem(refused) == (429, "quota_exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    assert len(await stored_keys(face.parts.files)) == 1
    announced = await tight.post("/v1/files/uploads", json={"name": "a", "size": 3})
    assert problem(announced) == (429, "quota_exceeded")
    assert (await tight.delete(f"/v1/files/{file['id']}")).status_code == 204

    await uploaded(tight, b"x" * 10)
    assert len(await stored_keys(face.parts.files)) == 1


async def test_a_file_that_is_too_large_is_told_so_where_there_is_no_room_either(
    face: Face, partner: PartnerFace
) -> None:
    options = replace(face.parts.options, files_max_bytes=8, partner_max_file_bytes=10)
    tight = await face.client(partner.key, options=options)
    await uploaded(tight, b"x" * 8)

    for answer in (
        await tight.post("/v1/files?name=a", content=b"y" * 9),
        await tight.post("/v1/files/uploads", json={"name": "a", "size": 9}),
    ):
        assert problem(answer) == (413, "too_large")
    assert problem(await tight.post("/v1/files?name=a", content=b"y" * 8)) == (429, "quota_exceeded")


async def test_what_a_form_has_around_its_file_needs_no_room(face: Face, partner: PartnerFace) -> None:
    tight = await face.client(partner.key, options=replace(face.parts.options, partner_max_file_bytes=10))

    stored = await tight.post("/v1/files", files={"file": ("a.jpg", b"x" * 10, "image/jpeg")})
    refused = await tight.post("/v1/files", files={"file": ("a.jpg", b"x", "image/jpeg")})

    assert (stored.status_code, stored.json()["size"]) == (201, 10)
    assert problem(refused) == (429, "quota_exceeded")


async def test_a_repeat_with_the_same_key_stores_nothing_twice(face: Face, partner: PartnerFace) -> None:
    headers = JPEG | {"Idempotency-Key": "once"}
    first = await partner.client.post("/v1/files?name=a", content=b"hello", headers=headers)
    again = await partner.client.post("/v1/files?name=a", content=b"hello", headers=headers)
    other = await partner.client.post("/v1/files?name=a", content=b"other", headers=headers)

    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert problem(other) == (422, "idempotency_mismatch")
    assert len(await stored_keys(face.parts.files)) == 1


async def test_another_partner_s_file_is_no_file(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)
    other = (await face.partner()).client

    for answer in (
        await other.get(f"/v1/files/{file['id']}"),
        await other.get(file["url"]),
        await other.delete(f"/v1/files/{file['id']}"),
        await other.post(f"/v1/files/{file['id']}/complete"),
        await other.put(file["url"], content=b"x"),
        await other.get("/v1/files/file_00000000000000000000000000"),
    ):
        assert problem(answer) == (404, "not_found")
    assert (await other.get("/v1/files")).json() == {"data": [], "next_cursor": None}
    assert (await face.admin.get("/v1/files", params={"partner": partner.id})).json()["data"][0][
        "id"
    ] == file["id"]


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=3-", 3, 10),
        ("bytes=-4", 6, 10),
        ("bytes=8-99", 8, 10),
        ("bytes=-99", 0, 10),
        ("Bytes=0-3", 0, 4),
        (" bytes = 0 - 3 ", 0, 4),
        (f"bytes=8-{10**18}", 8, 10),
        (f"bytes=8-{'9' * 4000}", 8, 10),
        (f"bytes=-{10**25}", 0, 10),
        (f"bytes={'0' * 30}8-", 8, 10),
        ("bytes=,0-3, ,", 0, 4),
    ],
)
async def test_a_range_is_answered_with_those_bytes(
    partner: PartnerFace, asked: str, first: int, end: int
) -> None:
    file = await uploaded(partner.client, b"0123456789")

    answer = await partner.client.get(file["url"], headers={"Range": asked})

    assert (answer.status_code, answer.content) == (206, b"0123456789"[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/10"
    assert answer.headers["content-length"] == str(end - first)


async def test_a_range_beyond_the_end_is_not_satisfiable(partner: PartnerFace) -> None:
    file = await uploaded(partner.client, b"0123456789")

    for asked in ("bytes=10-", "bytes=99-100", "bytes=-0", f"bytes={10**18}-", f"bytes={10**30}-{10**31}"):
        answer = await partner.client.get(file["url"], headers={"Range": asked})
        assert problem(answer) == (416, "range_not_satisfiable")
        assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=", "lines=1-2", "bytes=0-1,3-4", "bytes=x-y", "bytes", ",0-1"]
)
async def test_what_is_no_one_range_of_bytes_gets_the_whole_file(partner: PartnerFace, asked: str) -> None:
    file = await uploaded(partner.client, b"0123456789")

    answer = await partner.client.get(file["url"], headers={"Range": asked})

    assert (answer.status_code, answer.content) == (200, b"0123456789")


@pytest.mark.parametrize("asked", ["bytes=0-3", "bytes=99-"])
async def test_head_tells_of_the_whole_file_whatever_range_it_asks_for(
    partner: PartnerFace, asked: str
) -> None:
    file = await uploaded(partner.client, b"0123456789")

    answer = await partner.client.head(file["url"], headers={"Range": asked})

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "10", b"")
    assert "content-range" not in answer.headers


async def test_a_reader_that_has_the_file_is_told_so(partner: PartnerFace) -> None:
    file = await uploaded(partner.client, b"0123456789")
    etag = f'"{file["sha256"]}"'

    same = await partner.client.get(file["url"], headers={"If-None-Match": f'"x", W/{etag}'})
    resumed = await partner.client.get(file["url"], headers={"Range": "bytes=5-", "If-Range": etag})
    changed = await partner.client.get(file["url"], headers={"Range": "bytes=5-", "If-Range": '"old"'})
    head = await partner.client.head(file["url"])

    assert (same.status_code, same.content) == (304, b"")
    assert (resumed.status_code, changed.status_code) == (206, 200)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")


async def test_a_download_link_needs_no_key_until_it_expires(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)
    nobody = await face.client(None)

    assert (await nobody.get(file["download_url"])).content == b"hello"
    assert problem(await nobody.get(file["url"])) == (401, "unauthenticated")
    face.clock.ahead_ms += 7 * 86_400_000 + 1
    assert problem(await nobody.get(file["download_url"])) == (401, "unauthenticated")
    fresh = (await partner.client.get(f"/v1/files/{file['id']}")).json()
    assert (await nobody.get(fresh["download_url"])).status_code == 200


async def test_a_forged_link_opens_nothing(face: Face, partner: PartnerFace) -> None:
    file, other = await uploaded(partner.client), await uploaded(partner.client)
    nobody = await face.client(None)
    _, _, token = file["download_url"].partition("token=")
    until, _, signature = token.partition(".")

    for forged in ("x", "", f"{int(until, 16) + 1:x}.{signature}", f"{until}.{'A' * 43}", token[:-1]):
        assert problem(await nobody.get(file["url"], params={"token": forged})) == (401, "unauthenticated")
    assert problem(await nobody.get(other["url"], params={"token": token})) == (401, "unauthenticated")
    assert problem(await nobody.put(file["url"], params={"token": token}, content=b"x")) == (
        401,
        "unauthenticated",
    )
    assert problem(await nobody.delete(f"/v1/files/{file['id']}?token={token}")) == (401, "unauthenticated")


async def test_scopes_say_who_reads_and_who_writes(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)

    async def with_scopes(*scopes: str) -> httpx.AsyncClient:
        made = await face.admin.post(f"/v1/partners/{partner.id}/keys", json={"scopes": scopes})
        return await face.client(made.json()["key"])

    reader, writer = await with_scopes("files:read"), await with_scopes("files:write")
    assert (await reader.get(file["url"])).status_code == 200
    assert problem(await reader.post("/v1/files?name=a", content=b"x")) == (403, "forbidden")
    for path in ("/v1/files", f"/v1/files/{file['id']}", file["url"]):
        assert problem(await writer.get(path)) == (403, "forbidden")
    receipt = (await writer.post("/v1/files?name=a", content=b"x")).json()
    assert set(receipt) == {"id", "state"}
    announced = (await writer.post("/v1/files/uploads", json={"name": "a", "size": 1})).json()
    assert set(announced["file"]) == {"id", "state"}


async def test_an_announced_file_is_sent_to_us_without_a_key_where_the_store_cannot_presign(
    face: Face, partner: PartnerFace
) -> None:
    told = {
        "name": "a.bin",
        "content_type": "image/png",
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
    }
    made = await partner.client.post("/v1/files/uploads", json=told)
    assert made.status_code == 201
    file, upload = made.json()["file"], made.json()["upload"]
    assert (file["state"], file["download_url"], upload["method"]) == ("awaiting", None, "PUT")
    assert problem(await partner.client.get(file["url"])) == (409, "conflict")
    assert problem(await partner.client.post(f"/v1/files/{file['id']}/complete")) == (409, "conflict")
    nobody = await face.client(None)

    sent = await nobody.put(upload["url"], content=b"hello", headers=upload["headers"])

    assert sent.status_code == 200, sent.text
    done = await partner.client.post(f"/v1/files/{file['id']}/complete")
    assert (done.status_code, done.json()["state"], done.json()["sha256"]) == (200, "ready", told["sha256"])
    assert (await partner.client.get(file["url"])).content == b"hello"
    assert problem(await nobody.put(upload["url"], content=b"hello")) == (409, "conflict")


@pytest.mark.parametrize(
    ("content", "path"), [(b"hell", "$.size"), (b"hello!", "$.size"), (b"world", "$.sha256")]
)
async def test_other_bytes_than_were_announced_are_refused_and_may_be_sent_again(
    face: Face, partner: PartnerFace, content: bytes, path: str
) -> None:
    told = {"name": "a.bin", "size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    upload = (await partner.client.post("/v1/files/uploads", json=told)).json()["upload"]

    refused = await partner.client.put(upload["url"], content=content)

    assert problem(refused) == (422, "invalid")
    assert refused.json()["errors"][0]["path"] == path
    assert await stored_keys(face.parts.files) == set()
    assert (await partner.client.put(upload["url"], content=b"hello")).status_code == 200


@pytest.mark.parametrize(
    "told",
    [
        {"name": "a"},
        {"name": "a/b", "size": 1},
        {"name": "a", "size": -1},
        {"name": "a", "size": "1"},
        {"name": "a", "size": 1, "sha256": "xyz"},
        {"name": "a", "size": 1, "content_type": "no"},
        {"name": "a", "size": 1, "more": 1},
    ],
)
async def test_a_wrong_announcement_is_invalid(partner: PartnerFace, told: dict[str, Any]) -> None:
    assert problem(await partner.client.post("/v1/files/uploads", json=told)) == (422, "invalid")


async def test_an_announcement_over_the_limit_is_too_large(partner: PartnerFace) -> None:
    answer = await partner.client.post("/v1/files/uploads", json={"name": "a", "size": 1 << 40})

    assert problem(answer) == (413, "too_large")


async def test_an_upload_after_its_time_is_refused(face: Face, partner: PartnerFace) -> None:
    upload = (await partner.client.post("/v1/files/uploads", json={"name": "a", "size": 1})).json()["upload"]
    face.clock.ahead_ms += 3_600_001

    assert problem(await partner.client.put(upload["url"], content=b"x")) == (401, "unauthenticated")


async def test_a_file_that_a_waiting_task_needs_is_not_deleted(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)
    task = task_of(partner.id, file_ids=(file["id"],))
    await face.store.tasks.submit(submission_of(task))

    assert problem(await partner.client.delete(f"/v1/files/{file['id']}")) == (409, "conflict")
    listed = await partner.client.get("/v1/files", params={"task": task.id, "kind": "input"})
    assert [one["id"] for one in listed.json()["data"]] == [file["id"]]
    await face.store.db.write(cancel_task, task.id, partner.id)
    assert (await partner.client.delete(f"/v1/files/{file['id']}")).status_code == 204
    assert problem(await partner.client.get(file["url"])) == (404, "not_found")


async def test_a_task_whose_file_is_deleted_cannot_be_run_again(face: Face, partner: PartnerFace) -> None:
    kept, gone = await uploaded(partner.client), await uploaded(partner.client)
    task = task_of(partner.id, file_ids=(kept["id"], gone["id"]))
    await face.store.tasks.submit(submission_of(task))
    await face.store.db.write(cancel_task, task.id, partner.id)
    again = f"/v1/tasks/{task.id}/rerun"
    assert (await partner.client.post(again)).status_code == 202
    new_id = (await partner.client.get(f"/v1/tasks?rerun_of={task.id}")).json()["data"][0]["id"]
    await partner.client.post(f"/v1/tasks/{new_id}/cancel")
    assert (await partner.client.delete(f"/v1/files/{gone['id']}")).status_code == 204

    answer = await partner.client.post(again)

    assert problem(answer) == (409, "conflict")
    assert gone["id"] in answer.json()["detail"]
    assert problem(await partner.client.post(f"/v1/tasks/{new_id}/rerun")) == (409, "conflict")
    listed = await partner.client.get("/v1/files", params={"task": task.id})
    assert [one["id"] for one in listed.json()["data"]] == [kept["id"]]


async def test_an_admin_is_told_whose_file_it_is_by_every_answer(face: Face, partner: PartnerFace) -> None:
    whose = {"partner": partner.id}
    sent = await face.admin.post("/v1/files", params={"name": "a", **whose}, content=b"hello")
    told = {"name": "b", "size": 5, **whose}
    announced = (await face.admin.post("/v1/files/uploads", json=told)).json()["file"]
    await face.admin.put(f"/v1/files/{announced['id']}/content", content=b"hello")
    completed = await face.admin.post(f"/v1/files/{announced['id']}/complete")
    shown = await face.admin.get(f"/v1/files/{announced['id']}")
    listed = await face.admin.get("/v1/files", params=whose)

    files = [sent.json(), announced, completed.json(), shown.json(), *listed.json()["data"]]
    assert len(files) == 6
    assert {file["partner"]["id"] for file in files} == {partner.id}
    assert "partner" not in await uploaded(partner.client)


async def test_files_are_filtered_by_what_they_can_be(face: Face, partner: PartnerFace) -> None:
    await uploaded(partner.client)

    assert (await partner.client.get("/v1/files?kind=result")).json()["data"] == []
    assert problem(await partner.client.get("/v1/files?kind=other")) == (422, "invalid")
    assert problem(await partner.client.get("/v1/files?colour=red")) == (422, "invalid")


async def test_deletion_and_upload_are_in_the_audit_log(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)
    await partner.client.delete(f"/v1/files/{file['id']}")

    acts = [entry["action"] for entry in (await face.admin.get("/v1/audit")).json()["data"]]
    assert acts[:2] == ["file.delete", "file.create"]


@pytest.mark.parametrize(
    "error", [Unavailable("Away.", retry_after_seconds=5), Overloaded("Full.", retry_after_seconds=5)]
)
async def test_a_store_that_is_away_or_full_is_503_with_retry_after(
    face: Face, partner: PartnerFace, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Bucket, "put", fail)
    answer = await partner.client.post("/v1/files?name=a", content=b"x")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_submissions_go_on_while_uploads_wait_for_a_store_that_stalls(
    face: Face, partner: PartnerFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookd.adapters.files.bucket.CALL_SECONDS", 0.5)
    monkeypatch.setattr("webhookd.adapters.files.bucket.UNDO_SECONDS", 0.1)
    async with BadStore("silent") as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        client = await face.client(partner.key, files=open_bucket(f"s3://{BUCKET}/stalls"))
        uploads = [asyncio.create_task(client.post("/v1/files?name=a", content=b"x")) for _ in range(10)]
        await store.asked.wait()

        made = await client.post("/v1/tasks", json={"type": "test.echo"})
        answers = await asyncio.gather(*uploads)

    assert made.status_code == 202, made.text
    assert {answer.status_code for answer in answers} == {503}
    assert all("retry-after" in answer.headers for answer in answers)
    assert (await partner.client.get("/v1/files")).json()["data"] == []


async def test_lost_bytes_are_told_before_the_answer_begins(face: Face, partner: PartnerFace) -> None:
    file = await uploaded(partner.client)
    await face.parts.files.remove(list(await stored_keys(face.parts.files)))

    assert (await partner.client.get(file["url"])).status_code == 503


async def said(
    live: Live, head: str, body: bytes, *, path: str = "/v1/files?name=a", key: str, hangs_up: bool = True
) -> bytes:
    """Say this on a connection of its own, and no more; return all that is answered until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(live.url).port)
    start = (
        f"{'PUT' if 'token=' in path else 'POST'} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}"
    )
    writer.write(f"{start}\r\n{head}\r\n\r\n".encode() + body)
    if hangs_up:
        writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):  # who closes with bytes unread resets
        while part := await reader.read(65_536):
            answer += part
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize("live", ["sqlite"], indirect=True)
async def test_bytes_that_are_fewer_or_more_than_their_length_make_no_other_file(
    live: Live, tmp_path: Path
) -> None:
    partner = await live.partner()
    told = {"name": "a.bin", "size": 5}
    announced = (await partner.http.post("/v1/files/uploads", json=told)).json()
    place = announced["upload"]["url"].removeprefix(live.url)
    for head, body in (
        ("Content-Length: 100", b"x" * 50),
        ("Content-Length: 10000000", b"x" * 7_000_000),
        ("Content-Length: 5\r\nContent-Length: 6", b"hello!"),
        ("Content-Length: 5, 6", b"hello!"),
        ("Content-Length: -5", b"hello"),
        ("Content-Length: 0x5", b"hello"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\nff"),
        ("Transfer-Encoding: chunked", b"-5\r\nhello\r\n0\r\n\r\n"),
    ):
        for path in ("/v1/files?name=a", place):
            answer = await said(live, head, body, path=path, key=partner.key)
            assert not answer or answer.startswith(b"HTTP/1.1 4"), (head, path, answer)
    assert [file["state"] for file in (await partner.http.get("/v1/files")).json()["data"]] == ["awaiting"]

    answer = await said(live, "Content-Length: 5", b"hello and more\r\n\r\n", key=partner.key, hangs_up=False)
    sent = await partner.http.put(announced["upload"]["url"], content=b"hello")
    files = (await partner.http.get("/v1/files")).json()["data"]

    assert answer.count(b"HTTP/1.1 2") <= 1, "what is beyond the length is no request"
    assert sent.status_code == 200, sent.text
    assert {(file["state"], file["size"]) for file in files} == {("ready", 5)}
    whole = [path for path in (tmp_path / "files").iterdir() if "#" not in path.name]
    assert {path.read_bytes() for path in whole} == {b"hello"}


@pytest.mark.parametrize("live", ["sqlite"], indirect=True)
async def test_a_download_whose_bytes_end_early_is_cut_and_not_ended(live: Live, tmp_path: Path) -> None:
    partner = await live.partner()
    file = await uploaded(partner.http, os.urandom(9_000_000))
    (stored,) = (tmp_path / "files").iterdir()
    os.truncate(stored, 6_000_000)

    async with partner.http.stream("GET", file["url"]) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()

    assert (await partner.http.get(file["url"], headers={"Range": "bytes=0-9"})).status_code == 206


class TestObjectStore:
    """Where the store presigns, bytes go there and come from there."""

    @pytest.fixture
    async def client(
        self, face: Face, partner: PartnerFace, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> httpx.AsyncClient:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        return await face.client(partner.key, files=open_bucket(f"s3://{BUCKET}/{tmp_path.name}"))

    async def test_a_download_is_sent_on_to_the_store(self, client: httpx.AsyncClient) -> None:
        file = await uploaded(client)

        moved = await client.get(file["url"])
        head = await client.head(file["url"])

        assert moved.status_code == 307
        async with async_http_client() as anyone:
            direct = await anyone.get(moved.headers["location"])
        assert (direct.content, direct.headers["content-type"]) == (b"hello", "image/jpeg")
        assert direct.headers["content-disposition"] == 'attachment; filename="photo.jpg"'
        assert (head.status_code, head.headers["content-length"]) == (200, "5")

    async def test_an_announced_file_goes_straight_to_the_store(self, client: httpx.AsyncClient) -> None:
        told = {"name": "a.html", "content_type": "text/plain", "size": 5}
        made = (await client.post("/v1/files/uploads", json=told)).json()
        file_url = f"/v1/files/{made['file']['id']}"
        assert problem(await client.post(f"{file_url}/complete")) == (409, "conflict")

        async with async_http_client() as anyone:
            for content, status in ((b"hell", 422), (b"hello", 200)):
                sent = await anyone.put(
                    made["upload"]["url"], content=content, headers={"Content-Type": "text/html"}
                )
                assert sent.status_code == 200
                assert (await client.post(f"{file_url}/complete")).status_code == status
            ready = (await client.get(file_url)).json()
            late = await anyone.put(made["upload"]["url"], content=b"other")
            direct = await anyone.get((await client.get(ready["url"])).headers["location"])

        assert late.status_code == 200
        assert (ready["state"], ready["sha256"]) == ("ready", hashlib.sha256(b"hello").hexdigest())
        assert (direct.content, direct.headers["content-type"]) == (b"hello", "text/plain")
        assert direct.headers["content-disposition"].startswith("attachment")
