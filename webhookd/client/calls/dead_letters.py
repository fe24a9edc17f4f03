"""Dead letters: finding, replaying and discarding them."""

from typing import Any

from webhookd.client.calls.asking import given, id_of, listed, path_of, posting, reading
from webhookd.client.documents import Document, Replay
from webhookd.client.errors import ClientError
from webhookd.client.steps import Call, Request, Stream


def list_all(**filters: Any) -> Stream[Document]:
    """Iterate over the dead letters that the filters match."""
    return listed(Document, "v1/dead-letters", filters)


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
    **filter: Any,  # noqa: A002
) -> Call[Replay]:
    """Replay every dead letter that the filter matches, paced; `dry_run=True` only counts them.

    Raises ClientError for no filter without `all=True`: that would be everything there is.
    """
    if not filter and not all:
        raise ClientError("A replay without a filter takes everything: give a filter, or all=True.")
    body = given(filter=filter, dry_run=dry_run or None, rate_per_second=rate_per_second)
    return Replay.of((yield posting("v1/replays", body)))


def get_replay(replay: str | Replay) -> Call[Replay]:
    """Return how far a replay is."""
    return Replay.of((yield reading(path_of("replays", id_of(replay)))))
