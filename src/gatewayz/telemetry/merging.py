"""Several workers' metrics as those of one: what grows is added, gauges follow their rule."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from gatewayz.telemetry.gauges import GAUGES, Rule
from gatewayz.telemetry.snapshot import CUMULATIVE, Family, Series

_TOGETHER: Mapping[Rule, Callable[[float, float], float]] = {
    Rule.SUM: lambda one, other: one + other,
    Rule.MAX: max,
    Rule.MIN: min,
}


def merged(workers: Mapping[int, Sequence[Family]]) -> list[Family]:
    """By the numbers of their slots. Raises KeyError for a gauge without a rule."""
    together: dict[str, list[tuple[int, Family]]] = {}
    for number, families in workers.items():
        for family in families:
            together.setdefault(family.name, []).append((number, family))
    return [_one(each) for each in together.values()]


def lasting(families: Iterable[Family]) -> list[Family]:
    """Of a worker that has gone, what counts further."""
    return [each for each in families if each.kind in CUMULATIVE]


def passing(families: Iterable[Family]) -> list[Family]:
    """The others: what holds for as long as the worker lives."""
    return [each for each in families if each.kind not in CUMULATIVE]


def _one(same: Sequence[tuple[int, Family]]) -> Family:
    first = same[0][1]
    rule = Rule.SUM if first.kind in CUMULATIVE else GAUGES[first.name]
    if rule is Rule.PER_WORKER:
        samples = [
            (name, {**labels, "worker": str(number)}, value)
            for number, family in same
            for name, labels, value in family.samples
        ]
        return Family(first.name, first.text, first.kind, samples)
    combine, values = _TOGETHER[rule], dict[Series, float]()
    for _, family in same:
        for series, value in family.series():
            values[series] = combine(values[series], value) if series in values else value
    return Family(
        first.name, first.text, first.kind, [(name, dict(labels), value) for (name, labels), value in values.items()]
    )
