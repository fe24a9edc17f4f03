"""What a receiver is told of a webhook that does not verify."""

import pytest

from webhookd.core import signing
from webhookd.core.verification import judge, parse_headers

SECRET = signing.generate("v1", entropy=b"s" * 32)
OTHER = signing.generate("v1", entropy=b"o" * 32)
BODY = '{"type":"task.succeeded","data":{"id":"task_1","n":1.0}}'
NOW = 1_790_000_000
HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(NOW),
    "webhook-signature": signing.signature_header(
        message_id="msg_1", timestamp=NOW, body=BODY.encode(), secrets=[signing.SigningKey.parse(SECRET)]
    ),
}


def wrong(
    headers: dict[str, str] = HEADERS,
    body: str = BODY,
    secret: str = SECRET,
    *,
    signed_body: str | None = BODY,
    now: int = NOW,
) -> str:
    found = judge(headers, body, secret, signed_body=signed_body, now_seconds=now)
    return " ".join(f"{one.what} {one.mend}" for one in found if not one.good)


def test_what_is_as_it_was_sent_has_no_fault() -> None:
    assert wrong() == ""
    assert wrong(secret="") == ""
    assert len(judge(HEADERS, BODY, SECRET, signed_body=BODY, now_seconds=NOW)) == 6


@pytest.mark.parametrize("name", HEADERS)
def test_missing_header_is_named(name: str) -> None:
    assert f"{name} is missing" in wrong({key: HEADERS[key] for key in HEADERS if key != name})


def test_header_under_another_name_is_named() -> None:
    headers = {f"svix-{key.removeprefix('webhook-')}": value for key, value in HEADERS.items()}
    assert "There is svix-id, but no webhook-id" in wrong(headers)


@pytest.mark.parametrize(("now", "says"), [(NOW + 301, "behind"), (NOW - 301, "ahead of")])
def test_clock_is_told(now: int, says: str) -> None:
    assert f"301 seconds {says} our clock" in wrong(now=now)
    assert wrong(now=NOW + 300) == ""


def test_timestamp_that_is_a_date_is_told() -> None:
    assert "no whole number" in wrong({**HEADERS, "webhook-timestamp": "2026-11-24T06:00:00Z"})


def test_unknown_message_is_told() -> None:
    assert "No message of yours has the webhook-id msg_1" in wrong(signed_body=None)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (BODY + "\n", "blanks, a line end"),
        ("\ufeff" + BODY, "blanks, a line end"),
        (BODY[:20], "breaks off after 20 of"),
        (BODY.replace(":", ": "), "re-encoded"),
        (BODY.replace("1.0", "1"), "re-encoded"),
        (BODY.replace("task_1", "task_2"), "differs from character 45 on"),
        ("", "differs from character"),
        (BODY + "more", "another one"),
    ],
)
def test_body_is_compared_with_what_was_signed(body: str, says: str) -> None:
    assert says in wrong(body=body)


@pytest.mark.parametrize("secret", [OTHER, f" {OTHER} "])
def test_secret_of_another_endpoint_is_told(secret: str) -> None:
    assert "not one that signed" in wrong(secret=secret)


@pytest.mark.parametrize("secret", ["hunter2", "whsec_!!", "whsec_c2hvcnQ="])
def test_what_is_no_secret_is_told_without_quoting_it(secret: str) -> None:
    told = wrong(secret=secret)
    assert "with whsec_ in front" in told
    assert secret.removeprefix("whsec_") not in told


@pytest.mark.parametrize(
    "signature", ["v1,???", "v1,AAAA", "v1a,AAAA", "nothing", HEADERS["webhook-signature"][:-4]]
)
@pytest.mark.parametrize("secret", [SECRET, ""])
def test_header_that_holds_no_signature_is_told_and_not_the_secret(signature: str, secret: str) -> None:
    told = wrong({**HEADERS, "webhook-signature": signature}, secret=secret)
    assert "The webhook-signature is none" in told
    assert "secret" not in told


def test_timestamp_that_was_not_signed_is_told_and_not_the_secret() -> None:
    headers = {**HEADERS, "webhook-timestamp": str(NOW - 7)}
    found = judge(headers, BODY, SECRET, signed_body=BODY, now_seconds=NOW, stamps=[str(NOW - 60), str(NOW)])
    assert [one.what for one in found if not one.good] == [
        "The secret is the one that signed, but with another webhook-timestamp."
    ]
    found = judge(headers, BODY, OTHER, signed_body=BODY, now_seconds=NOW, stamps=[str(NOW)])
    assert "not one that signed" in " ".join(one.what for one in found if not one.good)


def test_one_of_several_signatures_is_enough() -> None:
    several = "v1,AAAA v1a,BBBB " + HEADERS["webhook-signature"]
    assert wrong({**HEADERS, "webhook-signature": several}) == ""


def test_pasted_headers_are_read_however_they_are_shown() -> None:
    pasted = (
        'POST /hooks HTTP/1.1\nWebhook-Id: msg_1\n  webhook_timestamp = 7\n"webhook-signature": "v1,AA=",'
    )
    found = parse_headers(pasted)
    assert (found["webhook-id"], found["webhook-signature"]) == ("msg_1", "v1,AA=")
