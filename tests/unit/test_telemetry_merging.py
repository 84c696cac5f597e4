"""Metrics of several workers as those of one."""

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gatewayz.cli.reference import collectors
from gatewayz.telemetry import snapshot
from gatewayz.telemetry.gauges import GAUGES, Rule
from gatewayz.telemetry.merging import lasting, merged
from gatewayz.telemetry.snapshot import Family


def worker(*metrics: Metric) -> list[Family]:
    return snapshot.read(snapshot.written(snapshot.families(metrics)))


def counter(**by_kind: float) -> Metric:
    family = CounterMetricFamily("asked", "Times asked.", labels=["kind"])
    for kind, count in by_kind.items():
        family.add_metric([kind], count)
    return family


def histogram(within: int, beyond: int, total: float) -> Metric:
    family = HistogramMetricFamily("seconds", "Time.", labels=["kind"])
    family.add_metric(["a"], buckets=[("1.0", within), ("+Inf", within + beyond)], sum_value=total)
    return family


def gauge_of(rule: Rule) -> str:
    return next(name for name, each in GAUGES.items() if each is rule)


def values(families: list[Family]) -> dict[str, float]:
    return {
        name + "".join(f" {label}={value}" for label, value in labels): number
        for family in families
        for (name, labels), number in family.series()
    }


def test_counters_are_added_label_by_label() -> None:
    both = merged({0: worker(counter(a=1, b=2)), 3: worker(counter(b=10, c=5))})
    assert values(both) == {"asked_total kind=a": 1, "asked_total kind=b": 12, "asked_total kind=c": 5}


def test_histograms_are_added_bucket_by_bucket() -> None:
    both = merged({0: worker(histogram(1, 2, 3.5)), 1: worker(histogram(10, 20, 30.0))})
    assert values(both) == {
        "seconds_bucket kind=a le=1.0": 11,
        "seconds_bucket kind=a le=+Inf": 33,
        "seconds_count kind=a": 33,
        "seconds_sum kind=a": 33.5,
    }


@pytest.mark.parametrize(("rule", "together"), [(Rule.SUM, 7), (Rule.MAX, 5), (Rule.MIN, 2)])
def test_a_gauge_follows_its_rule(rule: Rule, together: float) -> None:
    name = gauge_of(rule)
    both = merged({0: worker(GaugeMetricFamily(name, "", 5)), 1: worker(GaugeMetricFamily(name, "", 2))})
    assert values(both) == {name: together}


def test_a_gauge_of_each_worker_is_told_by_the_number_of_its_slot() -> None:
    name = gauge_of(Rule.PER_WORKER)
    both = merged({0: worker(GaugeMetricFamily(name, "", 5)), 7: worker(GaugeMetricFamily(name, "", 2))})
    assert values(both) == {f"{name} worker=0": 5, f"{name} worker=7": 2}


def test_a_gauge_without_a_rule_is_refused() -> None:
    with pytest.raises(KeyError, match="unheard_of"):
        merged({0: worker(GaugeMetricFamily("unheard_of", "", 5))})


def test_of_a_worker_that_has_gone_only_what_grows_counts() -> None:
    left = lasting(worker(counter(a=1), histogram(1, 0, 0.5), GaugeMetricFamily("gatewayz_cache_trusted", "", 0)))
    assert [each.name for each in left] == ["asked", "seconds"]


def test_every_gauge_has_a_rule_and_every_rule_a_gauge() -> None:
    collected = [metric for each in collectors() for metric in each.collect()]
    gauges = {each.name for each in collected if each.type == "gauge"}
    assert gauges == {each for each in GAUGES if not each.startswith("process_")}
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    of_process = {each.name for each in registry.collect() if each.type == "gauge"}
    assert of_process <= GAUGES.keys()
