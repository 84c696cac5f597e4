"""What the response cache says to Prometheus, read when scraped."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ResponsesCounts:
    """Of one worker. `requests`: by word and detail of `Cache-Status`. `not_kept`: answers, by why. `alone`: requests
    that could not be shared over workers, by why. Saved: tokens, by hits and by answers shared.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.not_kept: Counter[str] = Counter()
        self.alone: Counter[str] = Counter()
        self.takeovers = 0
        self.saved_tokens = 0


class ResponsesCollector(Collector):
    """`flights`: how many answers are under way."""

    def __init__(self, counts: ResponsesCounts, flights: Callable[[], int]) -> None:
        self._counts = counts
        self._flights = flights

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        requests = CounterMetricFamily(
            "gatewayz_responses",
            "Requests for chats and vectors by how the cache answered them, and why.",
            labels=["result", "detail"],
        )
        for (word, detail), count in counts.requests.items():
            requests.add_metric([word, detail], count)
        yield requests
        not_kept = CounterMetricFamily(
            "gatewayz_responses_not_kept", "Answers that were not kept, by why.", labels=["reason"]
        )
        for reason, count in counts.not_kept.items():
            not_kept.add_metric([reason], count)
        yield not_kept
        alone = CounterMetricFamily(
            "gatewayz_responses_alone",
            "Answers that were made without asking other workers, by why.",
            labels=["reason"],
        )
        for reason, count in counts.alone.items():
            alone.add_metric([reason], count)
        yield alone
        yield CounterMetricFamily(
            "gatewayz_responses_takeovers", "Answers begun again as their worker had gone.", counts.takeovers
        )
        yield CounterMetricFamily(
            "gatewayz_responses_saved_tokens",
            "Tokens that answers from the cache would have used.",
            counts.saved_tokens,
        )
        yield GaugeMetricFamily("gatewayz_responses_under_way", "Answers under way in this worker.", self._flights())
