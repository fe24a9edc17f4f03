"""What each answer means for its delivery: contract §3, row by row."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookd.core.delivery import Delivered, GiveUp, NotCounted, RetryAt, Verdict, error_code, judge
from webhookd.core.reply import ErrorCode, Reply, Timing
from webhookd.core.retry import RetryPolicy
from webhookd.settings import Settings
from webhookd.wiring.worker import delivery_policy

NOW_MS = 1_795_500_000_000
TIMING = Timing(total_us=1000)
DELIVERY_RETRY = delivery_policy(Settings())
FAILED: tuple[ErrorCode, ...] = tuple(code for code in get_args(ErrorCode) if code != "proxy")


def answered(status: int, retry_after: str | None = None) -> Reply:
    return Reply(status=status, retry_after=retry_after, timing=TIMING)


def unanswered(error: ErrorCode) -> Reply:
    return Reply(error=error, timing=TIMING)


def judged(
    answer: Reply,
    *,
    attempt: int = 1,
    max_attempts: int = 14,
    policy: RetryPolicy = DELIVERY_RETRY,
    chance: float = 0.5,
    inline: bool = False,
) -> Verdict:
    return judge(
        answer,
        attempt=attempt,
        max_attempts=max_attempts,
        policy=policy,
        now_ms=NOW_MS,
        chance=chance,
        inline=inline,
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 250, 299])
@pytest.mark.parametrize("attempt", [1, 14])
def test_any_2xx_is_delivered(status: int, attempt: int) -> None:
    assert judged(answered(status), attempt=attempt) == Delivered()


@pytest.mark.parametrize("status", [200, 410, 500])
def test_a_status_whose_head_did_not_hold_is_no_answer(status: int) -> None:
    answer = Reply(status=status, error="header_too_large", timing=TIMING)
    assert judged(answer) == RetryAt(due_ms=NOW_MS + 5000, error="header_too_large")


@pytest.mark.parametrize("attempt", [1, 14])
def test_gone_kills_the_delivery_and_disables_a_registered_endpoint_only(attempt: int) -> None:
    registered = judged(answered(410), attempt=attempt)
    inline = judged(answered(410), attempt=attempt, inline=True)
    assert registered == GiveUp(reason="gone", error="http_410", disable_endpoint=True)
    assert inline == GiveUp(reason="gone", error="http_410", disable_endpoint=False)


@pytest.mark.parametrize(
    "status", [100, 101, 199, 300, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503, 599]
)
def test_any_other_status_is_retried_after_the_policys_pause(status: int) -> None:
    verdict = judged(answered(status), attempt=3)
    assert verdict == RetryAt(due_ms=NOW_MS + 80_000, error=f"http_{status}")


@pytest.mark.parametrize("error", FAILED)
def test_every_failure_without_an_answer_is_retried_under_its_own_name(error: ErrorCode) -> None:
    assert judged(unanswered(error)) == RetryAt(due_ms=NOW_MS + 5000, error=error)


def test_an_attempt_that_tells_neither_status_nor_error_is_no_success() -> None:
    assert judged(Reply(timing=TIMING)) == RetryAt(due_ms=NOW_MS + 5000, error="protocol")


@pytest.mark.parametrize("answer", [answered(500), answered(429, "60"), answered(302), unanswered("timeout")])
def test_the_last_failed_attempt_is_exhausted_and_disables_nothing(answer: Reply) -> None:
    assert isinstance(judged(answer, attempt=13), RetryAt)
    for attempt in (14, 15):
        verdict = judged(answer, attempt=attempt)
        assert verdict == GiveUp(reason="exhausted", error=error_code(answer) or "", disable_endpoint=False)


def test_the_deliverys_own_budget_counts_not_the_policys_present_one() -> None:
    assert isinstance(judged(answered(500), attempt=1, max_attempts=1), GiveUp)
    assert isinstance(judged(answered(500), attempt=20, max_attempts=30), RetryAt)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "pause_ms"),
    [
        ("1", 5000),
        ("60", 60_000),
        ("Tue, 24 Nov 2026 06:02:00 GMT", 120_000),
        ("Tue, 24 Nov 2026 05:00:00 GMT", 5000),
        ("999999999999", 86_400_000),
        ("-1", 5000),
        ("1e9", 5000),
        ("soon", 5000),
        (None, 5000),
    ],
)
def test_retry_after_is_the_least_wait(status: int, retry_after: str | None, pause_ms: int) -> None:
    verdict = judged(answered(status, retry_after))
    assert verdict == RetryAt(due_ms=NOW_MS + pause_ms, error=f"http_{status}")


@pytest.mark.parametrize("status", [301, 404, 500, 502])
def test_retry_after_of_other_statuses_is_not_heard(status: int) -> None:
    assert judged(answered(status, "3600")) == RetryAt(due_ms=NOW_MS + 5000, error=f"http_{status}")


@pytest.mark.parametrize("attempt", [1, 14, 15])
def test_our_own_proxys_fault_uses_up_no_attempt(attempt: int) -> None:
    assert judged(unanswered("proxy"), attempt=attempt, chance=0) == NotCounted(due_ms=NOW_MS + 30_000)


def test_our_own_faults_pause_is_spread_and_bounded_by_the_policys_cap() -> None:
    quick = RetryPolicy(max_attempts=3, base_seconds=0.1, factor=2, cap_seconds=1, jitter=0.5)
    assert judged(unanswered("proxy"), policy=quick, chance=0.5) == NotCounted(due_ms=NOW_MS + 1250)


answers = st.builds(answered, st.integers(100, 599), st.none() | st.text(max_size=20)) | st.builds(
    unanswered, st.sampled_from((*FAILED, "proxy"))
)


@given(
    answer=answers,
    attempt=st.integers(1, 30),
    chance=st.floats(0, 1, exclude_max=True),
    inline=st.booleans(),
)
def test_every_answer_gets_a_verdict_and_nothing_is_retried_past_its_budget_or_in_the_past(
    answer: Reply, attempt: int, chance: float, inline: bool
) -> None:
    verdict = judged(answer, attempt=attempt, chance=chance, inline=inline)
    match verdict:
        case Delivered():
            assert error_code(answer) is None
        case RetryAt():
            assert attempt < 14
            assert verdict.due_ms >= NOW_MS + 4000
            assert verdict.error == error_code(answer)
        case GiveUp():
            assert verdict.reason == "gone" or attempt >= 14
            assert not (inline and verdict.disable_endpoint)
        case NotCounted():
            assert verdict.due_ms > NOW_MS
            assert answer.error == "proxy"
