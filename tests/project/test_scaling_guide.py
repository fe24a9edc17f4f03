"""The KEDA example of docs/how-to/scale-workers.md: what KEDA takes, and a figure that the API answers."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.api_face import Face
from webhookd.api.app import ROUTES

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "scale-workers.md"
# https://keda.sh/docs/latest/scalers/metrics-api/ and .../reference/scaledobject-spec/
SCALER = {"url", "valueLocation", "targetValue", "activationTargetValue", "format", "authMode", "unsafeSsl"}
SCALED_OBJECT = {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "cooldownPeriod", "triggers"}


@pytest.fixture
def example() -> dict[str, dict[str, Any]]:
    """The documents of the page's one block of YAML, by kind."""
    yaml = pytest.importorskip("yaml")
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {document["kind"]: document for document in yaml.safe_load_all(block)}


def test_keda_example_has_the_fields_keda_knows(example: dict[str, dict[str, Any]]) -> None:
    spec = example["ScaledObject"]["spec"]
    [trigger] = spec["triggers"]
    assert set(spec) <= SCALED_OBJECT
    assert (trigger["type"], trigger["metadata"]["authMode"]) == ("metrics-api", "bearer")
    assert set(trigger["metadata"]) <= SCALER
    assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA takes strings only"
    [reference] = example["TriggerAuthentication"]["spec"]["secretTargetRef"]
    assert trigger["authenticationRef"]["name"] == example["TriggerAuthentication"]["metadata"]["name"]
    assert reference["parameter"] == "token"
    assert reference["name"] == example["Secret"]["metadata"]["name"]
    assert reference["key"] in example["Secret"]["stringData"]


async def test_keda_example_finds_its_figure_in_the_answer(
    example: dict[str, dict[str, Any]], face: Face
) -> None:
    metadata = example["ScaledObject"]["spec"]["triggers"][0]["metadata"]
    path = urlsplit(metadata["url"]).path
    assert any((route.method, route.path) == ("GET", path) for route in ROUTES)
    partner = await face.partner()
    for kind, fields in (("test.order", {"account": "A"}), ("test.echo", {})):
        await partner.client.post("/v1/tasks", json={"type": kind, "input": fields})
    answer = (await face.admin.get(path)).json()

    location = metadata["valueLocation"].replace('"reports"', '"orders"')

    assert _located(answer, location) == 1


def _located(document: Any, location: str) -> Any:
    """Follow a GJSON path of names and `#(name=="value")`, as KEDA does (github.com/tidwall/gjson)."""
    for step in re.findall(r'#\(\w+=="[^"]*"\)|\w+', location):
        if query := re.fullmatch(r'#\((\w+)=="([^"]*)"\)', step):
            document = next(item for item in document if item[query[1]] == query[2])
        else:
            document = document[step]
    return document
