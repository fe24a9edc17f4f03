"""What every problem document has in common."""

from http import HTTPStatus
from typing import Any

import httpx


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Every error looks the same, whoever made it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["title"] == HTTPStatus(status).phrase  # as RFC 9457 has it for about:blank
    assert problem["detail"].endswith(".")
    assert answer.headers["traceparent"].split("-")[1] == problem["trace_id"]
    return problem
