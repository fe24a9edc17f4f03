"""Counting, and the text Prometheus reads; and that documents name what there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from webhookd.adapters.metrics import (
    FAMILIES,
    MemoryTotals,
    Metrics,
    Sample,
    Tally,
    count_attempt,
    count_refused_addresses,
    count_request,
    count_run,
    exposition,
)
from webhookd.adapters.metrics.tally import SEPARATOR
from webhookd.core.facts import AddressesRefused, AttemptEnded, RequestFacts, RunEnded

DOCS = Path(__file__).parents[3] / "docs"


def attempt(**changes: Any) -> AttemptEnded:
    fields: dict[str, Any] = {
        "delivery_id": "dlv_1",
        "message_id": "msg_1",
        "endpoint_id": None,
        "number": 1,
        "status": 200,
        "error": None,
        "verdict": "delivered",
        "duration_us": 20_000,
        "since_message_ms": 40,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    return AttemptEnded(**(fields | changes))


def request(**changes: Any) -> RequestFacts:
    fields: dict[str, Any] = {
        "method": "POST",
        "route": "/v1/tasks",
        "status": 202,
        "duration_ms": 3.0,
        "actor": "prt_1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "error_code": None,
    }
    return RequestFacts(**(fields | changes))


def values(text: str) -> dict[str, float]:
    """The samples of an exposition."""
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def shown(tally: Tally) -> dict[str, float]:
    return values(exposition(tally.take(), ()))


def test_taking_starts_anew() -> None:
    tally = Tally()
    tally.count("webhookd_attempts_total", "delivered")
    tally.count("webhookd_attempts_total", "delivered", by=2)
    assert tally.take() == {SEPARATOR.join(("webhookd_attempts_total", "delivered", "")): 3}
    assert tally.take() == {}


def test_histogram_is_cumulative_and_in_seconds() -> None:
    tally = Tally()
    for microseconds in (5_000, 5_001, 30_000, 99_000_000):
        tally.observe("webhookd_attempt_duration_seconds", microseconds=microseconds)
    seen = shown(tally)
    name = "webhookd_attempt_duration_seconds"
    assert seen[f'{name}_bucket{{le="0.005"}}'] == 1, "a bound belongs to its bucket"
    assert seen[f'{name}_bucket{{le="0.01"}}'] == 2
    assert seen[f'{name}_bucket{{le="0.05"}}'] == 3
    assert seen[f'{name}_bucket{{le="20.0"}}'] == 3
    assert seen[f'{name}_bucket{{le="+Inf"}}'] == seen[f"{name}_count"] == 4
    assert seen[f"{name}_sum"] == pytest.approx(99.040001)


def test_fields_nobody_knows_are_left_out() -> None:
    text = exposition(
        {
            "": 1,
            "no_such_family\x1f": 1,
            "webhookd_attempts_total\x1fa\x1fb\x1f": 1,
            "webhookd_attempt_duration_seconds\x1f0.77": 1,
            "webhookd_attempts_total\x1fdelivered\x1fsum": 1,
        },
        (),
    )
    assert set(values(text)) <= {
        name for name in values(text) if name.startswith("webhookd_attempt_duration_seconds")
    }


def test_labels_are_escaped() -> None:
    sample = Sample(name="webhookd_queue_paused", labels=('a"b\\c\nd',), value=True)
    assert 'webhookd_queue_paused{queue="a\\"b\\\\c\\nd"} 1' in exposition({}, [sample])


def test_every_family_is_announced_even_without_a_value() -> None:
    text = exposition({}, ())
    for family in FAMILIES.values():
        assert f"# TYPE {family.name} {family.kind}\n" in text
        assert f"# HELP {family.name} {family.help}\n" in text


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES.values():
        assert family.name.startswith("webhookd_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert bool(family.bounds) == (family.kind == "histogram")
        assert list(family.bounds) == sorted(set(family.bounds))
        assert family.per_unit == 1 or "_seconds" in family.name


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "delivered"),
        ({"status": 404, "error": "http_404", "verdict": "retry"}, "http_4xx"),
        ({"status": 503, "error": "http_503", "verdict": "dead"}, "http_5xx"),
        ({"status": 302, "error": "http_302", "verdict": "retry"}, "http_3xx"),
        ({"status": None, "error": "timeout", "verdict": "retry"}, "timeout"),
        ({"status": None, "error": "proxy", "verdict": "not_counted"}, "proxy"),
        ({"verdict": "lost"}, "lost"),
    ],
)
def test_attempts_are_counted_by_outcome(changes: dict[str, Any], outcome: str) -> None:
    tally = Tally()
    count_attempt(tally)(attempt(**changes))
    seen = shown(tally)
    assert seen[f'webhookd_attempts_total{{outcome="{outcome}"}}'] == 1
    assert seen["webhookd_attempt_duration_seconds_count"] == 1
    latency = seen.get("webhookd_delivery_latency_seconds_sum")
    assert latency == (0.04 if outcome == "delivered" else None)
    ended = {name for name in seen if name.startswith("webhookd_deliveries_ended_total")}
    verdict = changes.get("verdict", "delivered")
    assert ended == (
        {f'webhookd_deliveries_ended_total{{how="{verdict}"}}'} if verdict in ("delivered", "dead") else set()
    )


def test_runs_are_counted_by_type_and_outcome() -> None:
    tally = Tally()
    for outcome, wait_ms in (("succeeded", 7), ("retry", -3)):
        count_run(tally)(
            RunEnded(
                task_id="task_1",
                type="demo.echo",
                attempt=1,
                outcome=outcome,
                error=None,
                wait_ms=wait_ms,
                run_ms=250,
                trace_id="0af7651916cd43dd8448eb211c80319c",
            )
        )
    seen = shown(tally)
    assert seen['webhookd_runs_total{type="demo.echo",outcome="retry"}'] == 1
    assert seen['webhookd_run_duration_seconds_sum{type="demo.echo"}'] == 0.5
    assert seen['webhookd_run_wait_seconds_sum{type="demo.echo"}'] == 0.007


def test_requests_are_counted_by_route_and_refusals_by_code() -> None:
    tally = Tally()
    listen = count_request(tally)
    listen(request())
    listen(request(status=429, error_code="quota_exceeded"))
    listen(request(status=422, error_code="invalid"))
    listen(request(method="GET", route="/v1/tasks/{id}", status=503, error_code="unavailable"))
    listen(request(method="BREW", route=None, status=404, error_code="not_found"))
    seen = shown(tally)
    assert seen['webhookd_http_requests_total{method="POST",route="/v1/tasks",status="202"}'] == 1
    assert seen['webhookd_http_requests_total{method="other",route="none",status="404"}'] == 1
    assert seen['webhookd_http_request_duration_seconds_sum{method="POST",route="/v1/tasks"}'] == 0.009
    refusals = {name: value for name, value in seen.items() if "refusals" in name}
    assert refusals == {'webhookd_admission_refusals_total{code="quota_exceeded"}': 1}


def test_refused_addresses_are_security_events() -> None:
    tally = Tally()
    listen = count_refused_addresses(tally)
    listen(AddressesRefused(host="a.example", port=443, refused=("10.0.0.1",), dialled=()))
    listen(AddressesRefused(host="a.example", port=443, refused=("10.0.0.1",), dialled=("192.0.2.1",)))
    assert shown(tally) == {
        'webhookd_security_events_total{kind="blocked"}': 1,
        'webhookd_security_events_total{kind="mixed"}': 1,
    }


async def test_processes_add_up_and_figures_are_told_once() -> None:
    totals = MemoryTotals()
    figures: dict[tuple[str, ...], int] = {("webhookd_broker_rings_total", "rung"): 5}
    one, other = Metrics(totals, figures=[lambda: figures]), Metrics(totals)
    one.tally.count("webhookd_attempts_total", "delivered")
    await one.tell()
    figures["webhookd_broker_rings_total", "rung"] = 7
    other.tally.count("webhookd_attempts_total", "delivered")
    await other.tell()
    await one.tell()
    seen = values(exposition(await other.totals(), ()))
    assert seen['webhookd_attempts_total{outcome="delivered"}'] == 2
    assert seen['webhookd_broker_rings_total{result="rung"}'] == 7


async def test_what_cannot_be_told_is_kept_and_shown() -> None:
    class Away(MemoryTotals):
        away = False

        async def add(self, increments: Any) -> dict[str, int]:
            return dict(increments) if self.away else await super().add(increments)

        async def read(self) -> dict[str, int] | None:
            return None if self.away else await super().read()

    totals = Away()
    metrics = Metrics(totals)
    for away in (False, True, True, False):
        totals.away = away
        metrics.tally.count("webhookd_attempts_total", "delivered")
        await metrics.tell()
    assert list((await metrics.totals()).values()) == [4]
    totals.away = True
    metrics.tally.count("webhookd_attempts_total", "delivered")
    assert list((await metrics.totals()).values()) == [5]


def documented() -> dict[str, str]:
    """The families of the reference, with the text of their rows."""
    text = (DOCS / "reference" / "metrics.md").read_text()
    return {match[1]: match[0] for match in re.finditer(r"^\| `(webhookd_\w+)` .*$", text, re.MULTILINE)}


def test_reference_lists_every_family_and_nothing_else() -> None:
    assert set(documented()) == set(FAMILIES)
    for name, row in documented().items():
        family = FAMILIES[name]
        assert f"| {family.kind} |" in row
        assert family.help in row
        assert all(f"`{label}`" in row for label in family.labels)


def expressions() -> list[str]:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    lines = (DOCS / "alerts.yaml").read_text().splitlines()
    return targets + [line for line in lines if "webhookd_" in line]


def test_dashboard_alerts_and_guide_name_only_what_there_is() -> None:
    texts = [*expressions(), (DOCS / "how-to" / "monitor.md").read_text()]
    named = {name for text in texts for name in re.findall(r"\bwebhookd_\w+", text)}
    assert len(named) > 20
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= set(FAMILIES)
    for name in {name for text in expressions() for name in re.findall(r"\bwebhookd_\w+", text)}:
        family = FAMILIES[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert (name != family.name) == (family.kind == "histogram"), name


def test_dashboard_and_alerts_use_only_labels_there_are() -> None:
    checked = 0
    for text in expressions():
        for name, selector in re.findall(r"\b(webhookd_\w+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= set(FAMILIES[re.sub(r"_bucket$", "", name)].labels) | {"le"}, text
            checked += 1
    assert checked > 5


def test_dashboard_shows_every_family() -> None:
    shown_families = {
        re.sub(r"_bucket$", "", n) for t in expressions() for n in re.findall(r"webhookd_\w+", t)
    }
    assert shown_families == set(FAMILIES)


def test_alerts_are_yaml_with_an_expression_and_a_summary_each() -> None:
    yaml = pytest.importorskip("yaml")
    (group,) = yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"]
    assert group["name"] == "webhookd"
    for rule in group["rules"]:
        assert rule["expr"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
