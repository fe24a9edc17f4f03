"""The signatures, against the published vectors and the official library as the receiver."""

import base64
import itertools
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from webhookd.adapters import entropy as fresh
from webhookd.core.errors import Invalid
from webhookd.core.signing import SCHEMES, SigningKey, generate, signature_header

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SYMMETRIC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SYMMETRIC_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
ASYMMETRIC = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ASYMMETRIC_SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def header(*secrets: str) -> str:
    return signature_header(
        message_id=ID, timestamp=TIMESTAMP, body=BODY, secrets=[SigningKey.parse(text) for text in secrets]
    )


def test_v1_matches_the_published_vector() -> None:
    assert header(SYMMETRIC) == SYMMETRIC_SIGNATURE


def test_v1a_matches_the_published_vector_and_follows_v1() -> None:
    assert header(ASYMMETRIC, SYMMETRIC) == f"{SYMMETRIC_SIGNATURE} {ASYMMETRIC_SIGNATURE}"


def test_a_key_tells_its_scheme_and_public_text() -> None:
    symmetric, asymmetric = SigningKey.parse(SYMMETRIC), SigningKey.parse(ASYMMETRIC)
    assert (symmetric.version, symmetric.public_text) == ("v1", None)
    assert (asymmetric.version, asymmetric.public_text) == ("v1a", PUBLIC)


def test_every_v1_comes_first_and_the_newest_leads_within_a_scheme() -> None:
    symmetric = [generate("v1", entropy=bytes([n]) * 32) for n in range(3)]
    asymmetric = [generate("v1a", entropy=bytes([n]) * 32) for n in range(2)]
    mixed = [asymmetric[0], symmetric[0], symmetric[1], asymmetric[1], symmetric[2]]
    entries = header(*mixed).split(" ")
    alone = [header(text) for text in symmetric]
    assert entries[:3] == alone
    assert entries[3:] == [header(symmetric[0], text).split(" ")[1] for text in asymmetric]


def test_a_message_without_a_v1_key_is_not_signed() -> None:
    for secrets in ([], [SigningKey.parse(ASYMMETRIC)]):
        with pytest.raises(ValueError, match="v1"):
            signature_header(message_id=ID, timestamp=TIMESTAMP, body=BODY, secrets=secrets)


def test_the_official_library_accepts_old_and_new_secret_during_the_overlap_and_no_other() -> None:
    new, old, stranger = (generate("v1", entropy=bytes([n]) * 32) for n in range(3))
    body = '{"name":"Zoë","n":1}'.encode()
    now = int(time.time())
    keys = [SigningKey.parse(new), SigningKey.parse(old)]
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(now),
        "webhook-signature": signature_header(message_id=ID, timestamp=now, body=body, secrets=keys),
    }
    assert Webhook(new).verify(body, headers) == Webhook(old).verify(body, headers) == {"name": "Zoë", "n": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(stranger).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", headers)


@given(
    body=st.dictionaries(st.text(max_size=5), st.integers()).map(lambda data: str(data).encode()),
    entropy=st.binary(min_size=24, max_size=64),
)
def test_any_body_and_secret_length_verifies_with_the_official_library(body: bytes, entropy: bytes) -> None:
    now = int(time.time())
    text = generate("v1", entropy=entropy)
    signature = signature_header(message_id=ID, timestamp=now, body=body, secrets=[SigningKey.parse(text)])
    headers = {"webhook-id": ID, "webhook-timestamp": str(now), "webhook-signature": signature}
    Webhook(text).verify(body, headers, json_parse=False)


@given(seed=st.binary(min_size=32, max_size=32), body=st.binary())
def test_any_v1a_signature_verifies_with_the_public_key_shown(seed: bytes, body: bytes) -> None:
    key = SigningKey.parse(generate("v1a", entropy=seed))
    assert key.public_text is not None
    entries = signature_header(
        message_id=ID, timestamp=TIMESTAMP, body=body, secrets=[key, SigningKey.parse(SYMMETRIC)]
    ).split(" ")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_text.removeprefix("whpk_")))
    signature = base64.b64decode(entries[1].removeprefix("v1a,"))
    signed = f"{ID}.{TIMESTAMP}.".encode() + body
    public.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b"!")


def test_one_key_signs_many_messages_alike() -> None:
    key = SigningKey.parse(SYMMETRIC)
    signatures = {
        signature_header(message_id=ID, timestamp=TIMESTAMP, body=BODY, secrets=[key]) for _ in range(3)
    }
    assert signatures == {SYMMETRIC_SIGNATURE}


def test_the_signature_covers_id_time_and_body() -> None:
    key = [SigningKey.parse(SYMMETRIC)]
    ids, times, bodies = (ID, "msg_2"), (TIMESTAMP, TIMESTAMP + 1), (BODY, BODY + b" ")
    headers = {
        signature_header(message_id=message_id, timestamp=timestamp, body=body, secrets=key)
        for message_id, timestamp, body in itertools.product(ids, times, bodies)
    }
    assert len(headers) == 8


def test_missing_padding_of_a_secret_is_forgiven() -> None:
    padded = generate("v1", entropy=b"k" * 32)
    assert padded.endswith("=")
    assert header(padded.rstrip("=")) == header(padded)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "whpk_" + base64.b64encode(b"p" * 32).decode(),
        "whsec_",
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_" + "-_" * 20,
        "whsec_" + "é" * 40,
        "whsec_" + "A" * 41,
        "whsec_" + base64.b64encode(b"k" * 32).decode().replace("a", "a!"),
        "whsk_" + base64.b64encode(b"k" * 32).decode(),
        "whsk_" + base64.b64encode(b"k" * 64).decode(),
    ],
)
def test_what_is_no_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        SigningKey.parse(text)
    encoded = text.partition("_")[2]
    assert not encoded or encoded not in refused.value.detail


@given(text=st.text() | st.text().map("whsec_".__add__) | st.binary().map(lambda raw: "whsk_" + raw.hex()))
def test_no_text_makes_parsing_fail_otherwise_than_by_refusal(text: str) -> None:
    try:
        key = SigningKey.parse(text)
    except Invalid:
        return
    assert key.version in SCHEMES


def test_a_key_does_not_show_its_secret() -> None:
    assert "MfKQ" not in repr(SigningKey.parse(SYMMETRIC))


@pytest.mark.parametrize(("version", "length"), [("v1", 23), ("v1", 65), ("v1a", 31), ("v1a", 33)])
def test_entropy_of_the_wrong_length_makes_no_secret(version: str, length: int) -> None:
    with pytest.raises(ValueError, match="entropy"):
        generate(version, entropy=b"x" * length)


@pytest.mark.parametrize("version", SCHEMES)
def test_fresh_secrets_differ_and_parse(version: str) -> None:
    one, two = fresh.new_signing_secret(version), fresh.new_signing_secret(version)
    assert one != two
    assert SigningKey.parse(one).version == version
