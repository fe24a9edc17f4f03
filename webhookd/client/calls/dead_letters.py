"""Dead letters: finding, replaying and discarding them."""

from typing import Any

from webhookd.client.calls.asking import filtering, given, id_of, listed, path_of, posting, reading
from webhookd.client.documents import Discard, Document, Replay
from webhookd.client.errors import ClientError
from webhookd.client.steps import Call, Request, Stream


def list_all(**filters: Any) -> Stream[Document]:
    """Iterate over the dead letters that the filters match."""
    return listed(Document, "v1/dead-letters", filters)


def summary(*group_by: str, **filters: Any) -> Stream[Document]:
    """Iterate over counts by `endpoint`, `error`, `type`, `reason`, `hour` or `kind`, the largest first."""
    by = {"group_by": ",".join(group_by)} if group_by else {}
    return listed(Document, "v1/dead-letters/summary", {**filters, **by})


def replay_one(letter: str | Document) -> Call[Document]:
    """Replay one dead letter."""
    return Document.of((yield posting(path_of("dead-letters", id_of(letter), "replay"))))


def discard(letter: str | Document) -> Call[None]:
    """Discard one dead letter for good."""
    yield Request(method="DELETE", path=path_of("dead-letters", id_of(letter)))


def replay(
    *,
    all: bool = False,  # noqa: A002 - the word for it
    dry_run: bool = False,
    rate_per_second: float | None = None,
    why: str | None = None,
    **filter: Any,  # noqa: A002
) -> Call[Replay]:
    """Replay every dead letter that the filter matches, paced; `dry_run=True` only counts them.

    `state="pending"` sends now what waits; tasks run again only with `kind="task"`. `why` is for the audit.
    Raises ClientError for no filter without `all=True`: that would be everything there is.
    """
    body = _errand(filter, everything=all, dry_run=dry_run, rate_per_second=rate_per_second, reason=why)
    return Replay.of((yield posting("v1/replays", body)))


def discard_all(
    *,
    why: str,
    all: bool = False,  # noqa: A002 - the word for it
    dry_run: bool = False,
    rate_per_second: float | None = None,
    **filter: Any,  # noqa: A002
) -> Call[Discard]:
    """Discard every dead letter that the filter matches; `why` is kept in the audit. Raises as `replay`."""
    body = _errand(filter, everything=all, dry_run=dry_run, rate_per_second=rate_per_second, reason=why)
    return Discard.of((yield posting("v1/discards", body)))


def _errand(filter: dict[str, Any], *, everything: bool, dry_run: bool, **settings: Any) -> dict[str, Any]:  # noqa: A002
    if not filter and not everything:
        raise ClientError("Without a filter that takes everything: give a filter, or all=True.")
    return given(filter=filtering(filter), all=everything or None, dry_run=dry_run or None, **settings)


def get_replay(replay: str | Replay) -> Call[Replay]:
    """Return how far a replay is."""
    return Replay.of((yield reading(path_of("replays", id_of(replay)))))


def get_discard(discard: str | Discard) -> Call[Discard]:
    """Return how far a discard is."""
    return Discard.of((yield reading(path_of("discards", id_of(discard)))))
