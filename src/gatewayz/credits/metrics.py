"""What credits say to Prometheus, read when scraped."""

from collections.abc import Callable, Iterator

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class CreditsCounts(Struct, frozen=True, kw_only=True):
    settled: int = 0
    written_off: int = 0
    refused: int = 0
    damaged: int = 0
    unsettled_bytes: int = 0
    is_failing: bool = False
    drift: int = 0


class CreditsCollector(Collector):
    def __init__(self, counts: Callable[[], CreditsCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        now = self._counts()
        yield _counter("gatewayz_charges_settled", "Charges that this worker has settled.", now.settled)
        yield _counter("gatewayz_charges_refused", "Charges that the database refused for what they are.", now.refused)
        yield _counter(
            "gatewayz_charges_written_off_nano_usd",
            "Cost that neither a hold nor the account covered.",
            now.written_off,
        )
        yield _counter("gatewayz_journal_damaged", "Records of the journal that could not be read.", now.damaged)
        yield GaugeMetricFamily(
            "gatewayz_journal_unsettled_bytes", "What of this worker's journal is not settled.", now.unsettled_bytes
        )
        yield GaugeMetricFamily(
            "gatewayz_journal_failing",
            "1 while this worker cannot write down what requests cost, and lets none in that costs anything.",
            int(now.is_failing),
        )
        yield GaugeMetricFamily(
            "ledger_drift_nano_usd",
            "By how much amounts differ that must be the same; 0 where this worker is not the one that proves it.",
            now.drift,
        )


def _counter(name: str, what: str, value: int) -> Metric:
    return CounterMetricFamily(name, what, value)
