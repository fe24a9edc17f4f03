"""W3C Trace Context, level 1: reading, continuing and writing `traceparent` and `tracestate`.

Exporting spans is `adapters.telemetry`; where the entropy comes from is `adapters.entropy`.
Source: W3C Recommendation "Trace Context", 23 November 2021.
"""

import re
from dataclasses import replace
from typing import Final

from webhookd.core.record import record

TRACE_ENTROPY_BYTES: Final = 24
SPAN_ENTROPY_BYTES: Final = 8
SAMPLED: Final = 0x01

_LONGEST_STATE: Final = 512
_MOST_MEMBERS: Final = 32

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER: Final = re.compile(
    r"((?:[a-z][a-z0-9_*/-]{0,255})|(?:[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}))"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


@record(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """A place in a trace.

    `trace_id` is 32 and `parent_id` 16 lower-case hex digits, neither all zero; no `parent_id` at all is the
    trace's root. `flags` has only the bit SAMPLED, the one level 1 knows; `state` is a valid `tracestate` or
    empty.
    """

    trace_id: str
    parent_id: str
    flags: int
    state: str = ""

    def header(self) -> str:
        """Return the `traceparent` value, always in version 00."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}"

    def child(self, span_id: str) -> "TraceContext":
        """Return the same trace with `span_id` (16 hex digits) as the parent of what comes next."""
        return replace(self, parent_id=span_id)


def new(entropy: bytes) -> TraceContext:
    """Start a sampled trace from TRACE_ENTROPY_BYTES random bytes. Raises ValueError on another length."""
    if len(entropy) != TRACE_ENTROPY_BYTES:
        raise ValueError(f"a trace takes {TRACE_ENTROPY_BYTES} bytes of entropy, got {len(entropy)}")
    return TraceContext(trace_id=entropy[:16].hex(), parent_id=entropy[16:].hex(), flags=SAMPLED)


def parse(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """Read the caller's headers; None where `traceparent` is missing or invalid, and a new trace is due.

    A version we do not know is read as far as we know it (§3.2.2); `ff` and all-zero ids are invalid.
    Several `tracestate` headers come joined by commas. A malformed or overlong one is dropped whole and
    does not spoil the trace (§3.3.1).
    """
    match = _PARENT.fullmatch((traceparent or "").strip(" \t"))
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return TraceContext(
        trace_id=trace_id,
        parent_id=parent_id,
        flags=int(flags, 16) & SAMPLED,
        state=_state(tracestate or ""),
    )


def _state(text: str) -> str:
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match}
    # A key that stands twice makes the set smaller, as a member that does not match does.
    if len(text) > _LONGEST_STATE or len(members) > _MOST_MEMBERS or len(keys) != len(members):
        return ""
    return ",".join(members)
