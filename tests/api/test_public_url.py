"""The public URL: where the API says things are, seen from outside, whatever a request says of itself."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.api_face import ADMIN_KEY, Face
from webhookd.core.errors import SettingsError
from webhookd.settings import load_settings

PUBLIC = "https://example.com/hooks/v2"
LIES = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "host=evil.example;proto=gopher",
}


async def located(face: Face, **options: Any) -> tuple[dict[str, str], list[str]]:
    """Make one of each; return the `Location` of each, and every link of the task."""
    changed = replace(face.parts.options, **options)
    admin = await face.client(ADMIN_KEY, options=changed)
    made = await admin.post("/v1/partners", json={"name": "acme"}, headers=LIES)
    client = await face.client(made.json()["key"], options=changed)
    client.headers.update(LIES)
    found = {"partner": made}
    found["task"] = await client.post("/v1/tasks", json={"type": "test.echo"})
    found["endpoint"] = await client.post("/v1/endpoints", json={"url": "https://hooks.example/"})
    found["test"] = await client.post(f"/v1/endpoints/{found['endpoint'].json()['id']}/test")
    found["replay"] = await client.post("/v1/replays", json={"filter": {"type": "test.echo"}})
    found["cancelled"] = await client.post(f"/v1/tasks/{found['task'].json()['id']}/cancel")
    documents = [
        found["task"].json(),
        found["cancelled"].json(),
        (await client.get(f"/v1/tasks/{found['task'].json()['id']}")).json(),
        (await client.get("/v1/tasks")).json()["data"][0],
        (await client.post("/v1/tasks/batch", json={"tasks": [{"type": "test.echo"}]})).json()["results"][0][
            "task"
        ],
    ]
    ids = {name: answer.json().get("id") for name, answer in found.items()}
    locations = {name: answer.headers["location"].replace(ids[name], "ID") for name, answer in found.items()}
    return locations, [link for document in documents for link in document["links"].values()]


@pytest.mark.parametrize("base_url", ["", "https://example.com", PUBLIC])
async def test_location_and_links_keep_the_public_url_and_nothing_else(
    sqlite_face: Face, base_url: str
) -> None:
    locations, links = await located(sqlite_face, base_url=base_url)
    assert locations == {
        "partner": f"{base_url}/v1/partners/ID",
        "task": f"{base_url}/v1/tasks/ID",
        "endpoint": f"{base_url}/v1/endpoints/ID",
        "test": f"{base_url}/v1/deliveries/ID",
        "replay": f"{base_url}/v1/replays/ID",
        "cancelled": f"{base_url}/v1/tasks/ID",
    }
    assert all(link.startswith(f"{base_url}/v1/") for link in links)


async def test_description_is_of_the_public_url_and_its_page_finds_it_below_a_prefix(
    sqlite_face: Face,
) -> None:
    nobody = await sqlite_face.client(None, options=replace(sqlite_face.parts.options, base_url=PUBLIC))
    assert (await nobody.get("/openapi.json", headers=LIES)).json()["servers"] == [{"url": PUBLIC}]
    page = (await nobody.get("/docs", headers=LIES)).text
    assert '<a href="openapi.json">' in page  # relative to the page, wherever that is
    assert 'src="docs/start.js' in page
    assert 'href="/' not in page
    assert "evil" not in page


@pytest.mark.parametrize(
    ("given", "kept"), [(f"{PUBLIC}/", PUBLIC), ("http://[::1]:8080", "http://[::1]:8080"), ("", "")]
)
def test_public_url_is_kept_without_its_last_slash(given: str, kept: str) -> None:
    assert load_settings(public_url=given).public_url == kept


@pytest.mark.parametrize(
    "given",
    [
        *(
            "example.com",
            "ftp://x",
            "https://",
            "https:///hooks",
            "https://x/?a",
            "https://x/#a",
            "https://u@x",
        ),
        "https://例え.jp",
        "https://x/ü",
        "https://x:99999",
        "https://x:y",
        "https://:80",
        "https://[x]",
        'https://x/"',
    ],
)
def test_public_url_that_links_cannot_be_made_of_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="WEBHOOKD_PUBLIC_URL"):
        load_settings(public_url=given)
