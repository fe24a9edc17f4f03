"""Why a webhook does not verify: what a receiver has in its hands, held against what was signed.

Pure: the message that was signed, the time and the texts are arguments. Source of the rules: the Standard
Webhooks specification 1.0.0, "Verifying webhooks".
"""

import json
import re
from binascii import a2b_base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from webhookd.core.errors import Invalid
from webhookd.core.signing import SigningKey

TOLERANCE_SECONDS: Final = 300
"""How far from the receiver's clock the official libraries let a timestamp be."""
NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_LINE: Final = re.compile(r"[\s\"']*+([A-Za-z0-9_-]++)[\"']?\s*+[:=](.*)")
_SIGNATURE_BYTES: Final = {"v1": 32, "v1a": 64}
_LOOKALIKES: Final = ("svix-", "x-webhook-", "http_webhook_", "x-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that was looked at: whether it is as it should be, and what to do where it is not."""

    good: bool
    what: str
    mend: str = ""


def parse_headers(text: str) -> dict[str, str]:
    """Return the headers of a pasted text, one a line, names in lower case; other lines are left out."""
    matches = (_LINE.fullmatch(line) for line in text.splitlines())
    return {match[1].lower(): match[2].strip().strip("\"',") for match in matches if match}


def judge(
    headers: Mapping[str, str],
    body: str,
    secret: str,
    *,
    signed_body: str | None,
    now_seconds: int,
    stamps: Collection[str] = (),
) -> list[Remark]:
    """Return what was found, in the order in which a receiver checks.

    `signed_body` is the message's own text; None where no message of this partner has that id. `stamps` are
    the timestamps of its attempts, as far as known. An empty `secret` is not looked at.
    """
    found = [_header(headers, name) for name in NAMES]
    if not all(one.good for one in found):
        return found
    message_id, stamp, signatures = (headers[name] for name in NAMES)
    found.append(_clock(stamp, now_seconds))
    if signed_body is None:
        found.append(
            Remark(
                good=False,
                what=f"No message of yours has the webhook-id {message_id}.",
                mend="It was changed on the way, or belongs to another installation or partner.",
            )
        )
        return found
    found.append(_body(body, signed_body))
    if not any(map(_is_whole, signatures.split())):
        what = "The webhook-signature is none: it must be v1, and 44 characters of base64."
        found.append(Remark(good=False, what=what, mend="Take the header whole, as it came."))
    elif secret:
        sent = [f"{message_id}.{one}.{signed_body}" for one in (stamp, *stamps)]
        found.append(_signature(secret, sent, signatures))
    return found


def _header(headers: Mapping[str, str], name: str) -> Remark:
    if headers.get(name):
        return Remark(good=True, what=f"The header {name} is there.")
    end = name.removeprefix("webhook-")
    other = next(
        (one for one in headers if one.replace("_", "-").endswith(end) and one.startswith(_LOOKALIKES)), None
    )
    if other is not None:
        return Remark(
            good=False,
            what=f"There is {other}, but no {name}.",
            mend=f"Read {name}: Standard Webhooks names it so, in any case.",
        )
    return Remark(
        good=False,
        what=f"The header {name} is missing.",
        mend="A proxy or framework in front of you may drop it: let all webhook-* headers through.",
    )


def _clock(stamp: str, now_seconds: int) -> Remark:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return Remark(
            good=False,
            what=f"The webhook-timestamp {stamp!r} is no whole number of seconds.",
            mend="Take the header as it came; it is not a date.",
        )
    away = now_seconds - int(stamp)
    if abs(away) <= TOLERANCE_SECONDS:
        return Remark(good=True, what="The timestamp is within five minutes of our clock.")
    side = "behind" if away > 0 else "ahead of"
    return Remark(
        good=False,
        what=f"The timestamp is {abs(away):,} seconds {side} our clock; verifiers allow {TOLERANCE_SECONDS}.",
        mend="Verify when a webhook arrives, not later from a queue; check the clock of your server (NTP).",
    )


def _body(body: str, signed: str) -> Remark:
    if body == signed:
        return Remark(good=True, what="The body is, byte for byte, the one that was signed.")
    mend = "Verify the raw bytes of the request, before any parser or middleware touches them."
    if body.strip("\ufeff \r\n\t") == signed:
        return Remark(good=False, what="The body has blanks, a line end or a mark around it.", mend=mend)
    if body and signed.startswith(body):
        what = f"The body breaks off after {len(body):,} of {len(signed):,} characters."
        return Remark(good=False, what=what, mend="Read the request to its end before you verify.")
    try:
        same = json.loads(body) == json.loads(signed)
    except (ValueError, RecursionError):
        same = False
    place = next((i for i, (a, b) in enumerate(zip(body, signed, strict=False)) if a != b), len(signed))
    if same:
        what = (
            f"The body was re-encoded: the same JSON, but other characters from character {place + 1:,} on."
        )
        return Remark(good=False, what=what, mend=mend)
    what = f"The body is another one: it differs from character {place + 1:,} on."
    return Remark(
        good=False, what=what, mend="Look whether headers and body are of one and the same request."
    )


def _is_whole(entry: str) -> bool:
    """Whether an entry of the signature's header has the shape of one."""
    version, _, text = entry.partition(",")
    try:
        return len(a2b_base64(text, strict_mode=True)) == _SIGNATURE_BYTES[version]
    except (KeyError, ValueError):
        return False


def _signature(secret: str, sent: Sequence[str], signatures: str) -> Remark:
    """Look at what may have been signed: with the pasted timestamp first, then with the others."""
    try:
        key = SigningKey.parse(secret.strip())
    except Invalid as wrong:
        mend = "Use the whole secret as it was shown, with whsec_ in front."
        return Remark(good=False, what=wrong.detail, mend=mend)
    entries = (entry.partition(",") for entry in signatures.split())
    own = {_decoded(text) for version, _, text in entries if version == key.version}
    for content in sent:
        if key.sign(content.encode()) not in own:
            continue
        if content == sent[0]:
            return Remark(good=True, what="The secret is the one that signed.")
        return Remark(
            good=False,
            what="The secret is the one that signed, but with another webhook-timestamp.",
            mend="Verify with the header as it came: it is part of what is signed.",
        )
    return Remark(
        good=False,
        what="The secret is not one that signed this message.",
        mend="Take the secret of this very endpoint (an inline callback_url has the partner's own), the "
        "newest where it was rotated.",
    )


def _decoded(text: str) -> bytes:
    try:
        return a2b_base64(text)
    except ValueError:
        return b""
