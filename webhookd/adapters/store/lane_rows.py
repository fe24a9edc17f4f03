"""A lane's pace as the text in its row: numbers only, so that a reader needs no code to see it."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from webhookd.core.pacing import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePace:
    """The pace, and the rate limiter's theoretical time of the next attempt (`pacing.rate_hold`)."""

    pace: Pace
    tat_ms: float = 0.0


def pace_to_text(lane: LanePace) -> str:
    """Return the JSON text for `lanes.pace`."""
    return orjson.dumps({**asdict(lane.pace), "tat_ms": lane.tat_ms}).decode()


def pace_from_text(stored: str) -> LanePace:
    """Read `lanes.pace`. Fields of a newer or older release are left at their defaults."""
    values: dict[str, Any] = orjson.loads(stored)
    tat_ms = values.pop("tat_ms", 0.0)
    known = {name: value for name, value in values.items() if name in Pace.__dataclass_fields__}
    return LanePace(pace=Pace(**known), tat_ms=tat_ms)


INITIAL_PACE: Final = pace_to_text(LanePace(pace=Pace()))
