"""What authentication says to Prometheus, read when scraped."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.accounts.authentication import REFUSALS


class AuthenticationCollector(Collector):
    """`refused`: by REFUSALS."""

    def __init__(self, refused: Counter[str]) -> None:
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        refused = CounterMetricFamily(
            "gatewayz_authentications_refused",
            "Requests refused for their key, by why.",
            labels=["reason"],
        )
        for reason in REFUSALS:
            refused.add_metric([reason], self._refused[reason])
        yield refused
