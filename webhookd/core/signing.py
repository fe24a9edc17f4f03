"""Standard Webhooks 1.0.0 signatures: the schemes, their key texts and the `webhook-signature` header.

A scheme is a row of SCHEMES; adding one adds a row. A `SigningKey` is prepared once per lane, so that
signing a message costs one HMAC (or one Ed25519 signature) and nothing else.

Storing secrets is `adapters.vault`; which secrets are live is the caller's choice; verifying is the
receiver's. Source: the Standard Webhooks specification 1.0.0, "Signature scheme".
"""

import hmac
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from webhookd.core.errors import Invalid

SECRET_ENTROPY_BYTES: Final = 32
"""What `generate` is best fed with, for either scheme: as long as SHA-256's output and Ed25519's seed."""

_PUBLIC_PREFIX: Final = "whpk_"
_SEED_BYTES: Final = 32
_PUBLIC_BYTES: Final = 32

_Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way to sign.

    `material_bytes` are the lengths a decoded secret may have, `entropy_bytes` those of fresh entropy.
    `make` turns entropy into material; `prepare` turns material into a signer and, where the scheme
    has one, the public key. Both raise ValueError for material that cannot be a key.
    """

    version: str
    prefix: str
    material_bytes: range
    entropy_bytes: range
    make: Callable[[bytes], bytes]
    prepare: Callable[[bytes], tuple[_Sign, bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SigningKey:
    """One live secret, ready to sign. The secret itself is not kept.

    `version` is the scheme's (`v1`, `v1a`); `public_text` is the `whpk_…` text of a v1a key, else None.
    """

    version: str
    public_text: str | None
    sign: _Sign

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Prepare the key of a `whsec_…` (24 to 64 bytes) or `whsk_…` (seed and public, 32 bytes each) text.

        Missing base64 padding is forgiven, as the official libraries do. Raises Invalid, without
        quoting the text.
        """
        for scheme in SCHEMES.values():
            if text.startswith(scheme.prefix):
                material = _decode(text, scheme.prefix, scheme.material_bytes)
                try:
                    sign, public = scheme.prepare(material)
                except ValueError as wrong:
                    raise Invalid(f"The signing secret is not a key: {wrong}.") from None
                public_text = None if public is None else _encode(_PUBLIC_PREFIX, public)
                return cls(version=scheme.version, public_text=public_text, sign=sign)
        known = " or ".join(scheme.prefix for scheme in SCHEMES.values())
        raise Invalid(f"A signing secret starts with {known}.")


def generate(version: str, *, entropy: bytes) -> str:
    """Return the text of a new secret of scheme `version`, made of `entropy` and nothing else.

    v1 takes 24 to 64 bytes of entropy, v1a exactly 32. Raises ValueError otherwise.
    """
    scheme = SCHEMES[version]
    if len(entropy) not in scheme.entropy_bytes:
        raise ValueError(
            f"{version} wants {_span(scheme.entropy_bytes)} bytes of entropy, got {len(entropy)}"
        )
    return _encode(scheme.prefix, scheme.make(entropy))


def signature_header(*, message_id: str, timestamp: int, body: bytes, secrets: Sequence[SigningKey]) -> str:
    """Return the value of `webhook-signature` over `id.timestamp.body`.

    `timestamp` is in Unix seconds, `secrets` newest first. Every v1 signature comes before every v1a
    and within a scheme the newest secret leads, because some verifiers look only at the first entry
    they understand. Raises ValueError without a v1 key: every receiver must be able to verify.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    entries = [
        f"{version},{b2a_base64(key.sign(signed), newline=False).decode()}"
        for version in SCHEMES
        for key in secrets
        if key.version == version
    ]
    if not entries or not entries[0].startswith("v1,"):
        raise ValueError("a message is always signed with at least one v1 key")
    return " ".join(entries)


def _prepare_hmac(material: bytes) -> tuple[_Sign, None]:
    """Hash the key block once; each message then works on a copy of that state."""
    keyed = hmac.new(material, digestmod="sha256")

    def sign(signed: bytes) -> bytes:
        state = keyed.copy()
        state.update(signed)
        return state.digest()

    return sign, None


def _make_ed25519(seed: bytes) -> bytes:
    return seed + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _prepare_ed25519(material: bytes) -> tuple[_Sign, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(material[:_SEED_BYTES])
    public = private.public_key().public_bytes_raw()
    if public != material[_SEED_BYTES:]:
        raise ValueError("its public half does not belong to its private half")
    return private.sign, public


def _encode(prefix: str, raw: bytes) -> str:
    return prefix + b2a_base64(raw, newline=False).decode()


def _decode(text: str, prefix: str, lengths: range) -> bytes:
    encoded = text.removeprefix(prefix)
    try:
        raw = a2b_base64(encoded + "=" * (-len(encoded) % 4), strict_mode=True)
    except ValueError:
        raise Invalid(f"What follows {prefix} is not base64.") from None
    if len(raw) not in lengths:
        raise Invalid(f"What follows {prefix} is {len(raw)} bytes long; it must be {_span(lengths)}.")
    return raw


def _span(lengths: range) -> str:
    return str(lengths.start) if len(lengths) == 1 else f"{lengths.start} to {lengths.stop - 1}"


SCHEMES: Final[Mapping[str, Scheme]] = MappingProxyType(
    {
        "v1": Scheme(
            version="v1",
            prefix="whsec_",
            material_bytes=range(24, 65),
            entropy_bytes=range(24, 65),
            make=bytes,
            prepare=_prepare_hmac,
        ),
        "v1a": Scheme(
            version="v1a",
            prefix="whsk_",
            material_bytes=range(_SEED_BYTES + _PUBLIC_BYTES, _SEED_BYTES + _PUBLIC_BYTES + 1),
            entropy_bytes=range(_SEED_BYTES, _SEED_BYTES + 1),
            make=_make_ed25519,
            prepare=_prepare_ed25519,
        ),
    }
)
"""By version, in the order their signatures stand in the header."""
