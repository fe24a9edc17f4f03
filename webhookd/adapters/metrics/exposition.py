"""Totals and gauges as the text Prometheus reads (exposition format 0.0.4)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from webhookd.adapters.metrics.families import FAMILIES, Metric
from webhookd.adapters.metrics.tally import INFINITE, SEPARATOR, SUM, is_field

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A value read just now: a gauge, or a counter somebody else keeps. `labels` in the family's order."""

    name: str
    labels: tuple[str, ...] = ()
    value: float


def exposition(totals: Mapping[str, int], samples: Iterable[Sample]) -> str:
    """Return every family, also those without a value yet. What no family knows is left out.

    `totals` are by field (`tally`), in what the families keep; `samples` in what they show.
    """
    kept = _by_series(totals)
    shown: defaultdict[str, list[str]] = defaultdict(list)
    for sample in samples:
        shown[sample.name].append(_line(sample.name, FAMILIES[sample.name], sample.labels, sample.value))
    lines: list[str] = []
    for family in FAMILIES.values():
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for labels, parts in sorted(kept.get(family.name, {}).items()):
            lines += _histogram(family, labels, parts) if family.bounds else _counter(family, labels, parts)
        lines += shown[family.name]
    return "\n".join(lines) + "\n"


def _by_series(totals: Mapping[str, int]) -> Mapping[str, Mapping[tuple[str, ...], dict[str, int]]]:
    kept: defaultdict[str, defaultdict[tuple[str, ...], dict[str, int]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for field, total in totals.items():
        name, *labels = field.split(SEPARATOR)
        if name in FAMILIES and is_field(field):
            kept[name][tuple(labels[:-1])][labels[-1]] = total
    return kept


def _counter(family: Metric, labels: tuple[str, ...], parts: Mapping[str, int]) -> Iterator[str]:
    if "" in parts:
        yield _line(family.name, family, labels, parts[""] / family.per_unit)


def _histogram(family: Metric, labels: tuple[str, ...], parts: Mapping[str, int]) -> Iterator[str]:
    count = 0
    for bound in (*map(str, family.bounds), INFINITE):
        count += parts.get(bound, 0)
        yield _line(f"{family.name}_bucket", family, labels, count, le=bound)
    yield _line(f"{family.name}_sum", family, labels, parts.get(SUM, 0) / family.per_unit)
    yield _line(f"{family.name}_count", family, labels, count)


def _line(name: str, family: Metric, values: tuple[str, ...], value: float, le: str | None = None) -> str:
    pairs = [f'{label}="{_escaped(text)}"' for label, text in zip(family.labels, values, strict=True)]
    if le is not None:
        pairs.append(f'le="{le}"')
    labels = "{" + ",".join(pairs) + "}" if pairs else ""
    return f"{name}{labels} {int(value) if value == int(value) else value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
