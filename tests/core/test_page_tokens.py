"""Tokens for pages: what they say is what was signed, by one of our keys, until their time is over."""

from dataclasses import replace

import pytest

from webhookd.core.page_tokens import Grant, PageTokens

NOW = 1_790_000_000_000
GRANT = Grant(
    key_id="key_1",
    key_tag="",
    partner_id="prt_1",
    scopes=("tasks:read",),
    task_ids=("task_1", "task_2"),
    batch_id=None,
    until_ms=NOW + 1,
)
TOKENS = PageTokens(lambda: [b"new" * 11, b"old" * 11])


@pytest.mark.parametrize("grant", [GRANT, replace(GRANT, task_ids=(), batch_id="batch_1", key_tag="ab")])
def test_a_token_says_what_it_was_made_of(grant: Grant) -> None:
    assert TOKENS.read(TOKENS.text(grant), NOW) == grant


def test_a_token_ends_with_its_time() -> None:
    assert TOKENS.read(TOKENS.text(GRANT), NOW + 1) is None


def test_a_token_of_an_older_key_is_good_and_one_of_another_service_is_not() -> None:
    assert TOKENS.read(PageTokens(lambda: [b"old" * 11]).text(GRANT), NOW) == GRANT
    assert TOKENS.read(PageTokens(lambda: [b"his" * 11]).text(GRANT), NOW) is None


def test_no_other_text_is_a_token() -> None:
    text = TOKENS.text(GRANT)
    for other in (
        "",
        "wht_",
        text[:-1],
        text + "A",
        text.replace("wht_", "whk_"),
        f" {text}",
        text[:9] + text[10:],
    ):
        assert TOKENS.read(other, NOW) is None
