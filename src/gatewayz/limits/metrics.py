"""What limits say to Prometheus, read when scraped."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.limits.admission import Admission

OUTCOMES = ("admitted", "refused_requests", "refused_tokens", "refused_concurrent", "unfunded")


class LimitsCollector(Collector):
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        counts = self._admission.counts
        judged = CounterMetricFamily(
            "gatewayz_admissions", "Requests by what admission said to them.", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            judged.add_metric([outcome], counts[outcome])
        yield judged
        yield CounterMetricFamily(
            "gatewayz_admissions_local",
            "Requests that this worker has judged alone, as Redis could not be asked.",
            counts["local"],
        )
        yield GaugeMetricFamily(
            "gatewayz_running_requests",
            "Requests that run in this worker under a limit on how many may.",
            self._admission.running,
        )
