"""Files uploaded by the form of a page: streamed to the API's own call, behind the form's token."""

import re
from html import unescape
from typing import Any

import httpx
import pytest

from tests.pages.persons import ORIGIN, Person, person
from tests.support.api_face import ADMIN_KEY, Face


async def uploaded(
    someone: Person,
    content: bytes,
    *,
    name: str = "a.csv",
    last: bool = False,
    fields: dict[str, str] | None = None,
) -> httpx.Response:
    """Send the form of the page Files, with its fields before the file, or behind it."""
    page = (await someone.open("files")).text
    hidden = {
        field: unescape(re.search(rf'name="{field}" value="([^"]*)"', page)[1])  # type: ignore[index]  # it is there
        for field in ("form_token", "once")
    }
    parts: list[tuple[str, Any]] = [
        (name, (None, value)) for name, value in {**hidden, **(fields or {})}.items()
    ]
    file = ("file", (name, content, "text/csv"))
    parts = [file, *parts] if last else [*parts, file]
    url = f"/{someone.side}/files"
    return await someone.client.post(url, files=parts, headers={"Origin": ORIGIN})


@pytest.mark.parametrize("side", ["admin", "portal"])
async def test_file_is_uploaded_by_the_form(sqlite_face: Face, side: str) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, side)
    await someone.log_in(ADMIN_KEY if side == "admin" else partner.key)
    content = bytes(range(256)) * 4_000
    answer = await uploaded(someone, content, fields={"partner": partner.id} if side == "admin" else {})
    [file] = (await partner.client.get("/v1/files")).json()["data"]
    assert answer.headers["location"] == f"../{side}/files/{file['id']}?notice=uploaded"
    assert (file["name"], file["content_type"], file["size"]) == ("a.csv", "text/csv", len(content))
    assert (await partner.client.get(f"/v1/files/{file['id']}/content")).content == content
    assert "Uploaded." in (await someone.open(answer.headers["location"].removeprefix(f"../{side}/"))).text


async def test_file_sent_twice_is_stored_once(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    answers = [await uploaded(someone, b"a,b\n", fields={"once": "the same page"}) for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert len((await partner.client.get("/v1/files")).json()["data"]) == 1


async def test_file_without_the_forms_token_in_front_is_refused(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal")
    await someone.log_in(partner.key)
    assert (await uploaded(someone, b"a", fields={"form_token": "another's"})).status_code == 403
    assert (await uploaded(someone, b"a", last=True)).status_code == 403
    assert (await partner.client.get("/v1/files")).json()["data"] == []


async def test_what_is_no_form_of_one_file_is_refused_with_a_page(sqlite_face: Face) -> None:
    partner = await sqlite_face.partner()
    someone = await person(sqlite_face, "portal", files_max_bytes=1_000)
    await someone.log_in(partner.key)
    none_chosen = await uploaded(someone, b"", name="")
    too_much_text = await uploaded(someone, b"a", fields={"note": "n" * 50_000})
    too_large = await uploaded(someone, b"a" * 1_001)
    far_too_large = await uploaded(someone, b"a" * 1_000_000)
    plain = await someone.send("files", {"file": "a"}, seen="files")
    answers = [none_chosen, too_much_text, too_large, far_too_large, plain]
    assert [answer.status_code for answer in answers] == [422, 422, 413, 413, 422]
    assert all("<h1>" in answer.text for answer in answers)
    assert (await partner.client.get("/v1/files")).json()["data"] == []
