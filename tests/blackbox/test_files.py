"""A file all through: it goes in, a task takes it, what the task made comes back by the webhook's link."""

import hashlib
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.blackbox.conftest import Partner, Service
from tests.support.plain_http import async_http_client
from tests.support.services import until
from webhookd.cli.receiver import Receiver


def photo() -> bytes:
    """A picture that JSON would be too small for."""
    written = io.BytesIO()
    Image.effect_noise((1_600, 1_200), 80).save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize("way", ["raw", "form", "announced"])
async def test_a_file_goes_in_and_what_a_task_made_of_it_comes_back(
    service: Service, partner: Partner, receiver: tuple[Receiver, str], way: str
) -> None:
    picture = photo()
    hits, url = receiver[0].hits, receiver[1]
    async with async_http_client(service.url, timeout=60) as nobody:
        file = await _uploaded(partner, nobody, picture, way)
        assert (file["state"], file["size"], file["sha256"]) == ("ready", len(picture), _sha256(picture))

        made = await partner.http.post(
            "/v1/tasks",
            json={
                "type": "image.thumbnail",
                "input": {"image": file["id"], "width": 100, "height": 100},
                "callback_url": url,
            },
        )
        assert made.status_code == 202, made.text
        await until(lambda: hits, what="the webhook", seconds=60)

        hit = hits[0]
        assert hit.verified
        told = json.loads(hit.body)
        assert (told["type"], told["data"]["id"]) == ("task.succeeded", made.json()["id"])
        (attached,) = told["data"]["files"]
        whole = await nobody.get(attached["download_url"])
        some = await nobody.get(attached["download_url"], headers={"Range": "bytes=5-9"})
        forged = await nobody.get(attached["download_url"][:-1])

    assert (whole.status_code, _sha256(whole.content)) == (200, attached["sha256"])
    assert len(whole.content) == attached["size"]
    assert whole.headers["content-type"] == attached["content_type"]
    assert whole.headers["content-disposition"].startswith("attachment")
    assert max(Image.open(io.BytesIO(whole.content)).size) == 100
    assert (some.status_code, some.content) == (206, whole.content[5:10])
    assert forged.status_code == 401
    listed = (await partner.http.get("/v1/files", params={"task": told["data"]["id"]})).json()["data"]
    assert {one["id"]: one["kind"] for one in listed} == {file["id"]: "input", attached["id"]: "result"}
    assert (await partner.http.delete(f"/v1/files/{attached['id']}")).status_code == 204
    shown = (await partner.http.get(f"/v1/tasks/{told['data']['id']}")).json()
    assert shown["files"] == []


async def _uploaded(partner: Partner, nobody: httpx.AsyncClient, content: bytes, way: str) -> Any:
    kind = {"Content-Type": "image/png"}
    match way:
        case "raw":
            made = await partner.http.post("/v1/files?name=photo.png", content=content, headers=kind)
        case "form":
            form = {"file": ("photo.png", content, "image/png")}
            made = await partner.http.post("/v1/files", files=form)
        case _:
            told = {"name": "photo.png", "content_type": "image/png", "size": len(content)}
            announced = (await partner.http.post("/v1/files/uploads", json=told)).json()
            place = announced["upload"]
            sent = await nobody.request(
                place["method"], place["url"], content=content, headers=place["headers"]
            )
            assert sent.status_code == 200, sent.text
            made = await partner.http.post(f"/v1/files/{announced['file']['id']}/complete")
    assert made.status_code in (200, 201), made.text
    return made.json()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
