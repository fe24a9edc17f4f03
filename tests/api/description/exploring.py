"""Every operation of a running API tried with what schemathesis makes up; what the API answered.

Whoever imports this imports schemathesis, which takes a quarter of a second: only the test that uses it does.
"""

import warnings
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.support.plain_http import ask

with warnings.catch_warnings():
    # It is not ours to mend what others deprecate in each other.
    warnings.simplefilter("ignore", DeprecationWarning)
    import schemathesis
    from schemathesis import Case, GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.result import Ok

load_all_checks()

EXAMPLES_A_KIND = 4
CHECK_NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "missing_required_header",
)


def explore(url: str, keys: list[str]) -> set[tuple[str, int]]:
    """Check every operation with every key; return the statuses each operation answered with."""
    described = ask("GET", f"{url}/openapi.json").json()
    for item in described["paths"].values():
        for operation in item.values():
            # `default` is there for generators of clients. Here each status must be one that is told.
            del operation["responses"]["default"]
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=url)
    answers: set[tuple[str, int]] = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            statuses = try_out(operation, keys, mode)
            answers |= {(operation.definition.raw["operationId"], status) for status in statuses}
    return answers


def try_out(operation: Any, keys: list[str], mode: GenerationMode) -> set[int]:
    """Send some requests to one operation, each with every key, check the answers, return their statuses."""
    statuses: set[int] = set()
    # What is wrong with an item of a batch is told in that item's own result, in an answer of 202.
    by_item = operation.definition.raw["operationId"] == "submitTasks"
    names = [name for name in CHECK_NAMES if not (by_item and name == "negative_data_rejection")]
    checks: Any = CHECKS.get_by_names(names)

    @settings(
        max_examples=EXAMPLES_A_KIND,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        with suppress(KeyError, TypeError, ValueError):
            if float(case.query["wait"]) > 0:
                case.query["wait"] = 0  # holding requests is not what is tried here
        with suppress(KeyError, TypeError):
            # A head of more than 64 KiB is refused before any operation sees it.
            case.query["token"] = case.query["token"][:4_000]
        for key in keys:
            answer = case.call_and_validate(
                headers={"Authorization": f"Bearer {key}"},
                checks=checks,
                timeout=30,
            )
            statuses.add(answer.status_code)

    try:
        check()
    except Unsatisfiable:
        # What takes no parameters and no body cannot be asked wrongly.
        assert mode is GenerationMode.NEGATIVE
        assert not operation.definition.raw["parameters"]
    return statuses
