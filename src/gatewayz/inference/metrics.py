"""What attempts say to Prometheus, read when scraped."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

AttemptCounts = Counter[tuple[str, str]]
"""By provider and outcome."""


class AttemptsCollector(Collector):
    def __init__(self, counts: Callable[[], AttemptCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "gatewayz_attempts",
            "Requests to providers, by how they went: answered, failed, broken_off after it had begun to answer, "
            "passed_by as it is left alone.",
            labels=["provider", "outcome"],
        )
        for (provider, outcome), count in sorted(self._counts().items()):
            attempts.add_metric([provider, outcome], count)
        yield attempts
