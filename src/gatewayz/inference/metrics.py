"""What attempts, and what they cost, say to Prometheus, read when scraped."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.catalog.model import Offer
from gatewayz.core.course import course
from gatewayz.core.money import NANO_PER_USD, NanoUsd
from gatewayz.core.tally import MOST_MODELS, Names
from gatewayz.inference.metering import Usage

AttemptCounts = Counter[tuple[str, str]]
"""By provider and outcome."""


class AttemptsCollector(Collector):
    """`counts`: attempts with the gateway's keys; `own`: with callers' own."""

    def __init__(self, counts: Callable[[], AttemptCounts], own: Callable[[], AttemptCounts]) -> None:
        self._counts = counts
        self._own = own

    def collect(self) -> Iterator[Metric]:
        yield _family(
            "gatewayz_attempts",
            "Requests to providers, by how they went: answered, failed, broken_off after it had begun to answer, "
            "passed_by as it is left alone.",
            self._counts(),
        )
        yield _family(
            "gatewayz_own_key_attempts",
            "The same with keys of accounts' own, which say nothing of how well a provider is.",
            self._own(),
        )


class Spent:
    """What was used and what it costs, by provider and model, as it is settled: whoever has left by then."""

    def __init__(self) -> None:
        self._models = Names(MOST_MODELS)
        self.tokens: Counter[tuple[str, str, str]] = Counter()
        self.cost: Counter[tuple[str, str]] = Counter()

    def add(self, offer: Offer, usage: Usage, cost: NanoUsd) -> None:
        course().served(
            offer.provider, offer.id, prompt=usage.prompt, completion=usage.completion, cost=cost
        )  # fmt: skip
        provider, model = offer.provider, self._models.of(offer.id)
        self.tokens[provider, model, "prompt"] += usage.prompt
        self.tokens[provider, model, "completion"] += usage.completion
        self.tokens[provider, model, "cached"] += usage.cached
        self.tokens[provider, model, "reasoning"] += usage.reasoning
        self.cost[provider, model] += cost


class SpentCollector(Collector):
    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def collect(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "gatewayz_tokens",
            "Tokens that providers have used: cached ones are some of those of prompts, reasoning of completions.",
            labels=["provider", "model", "kind"],
        )
        for labels, count in list(self._spent.tokens.items()):
            tokens.add_metric(labels, count)
        yield tokens
        cost = CounterMetricFamily(
            "gatewayz_cost_usd", "US dollars that requests have cost their accounts.", labels=["provider", "model"]
        )
        for names, nano in list(self._spent.cost.items()):
            cost.add_metric(names, nano / NANO_PER_USD)
        yield cost


def _family(name: str, documentation: str, counts: AttemptCounts) -> CounterMetricFamily:
    attempts = CounterMetricFamily(name, documentation, labels=["provider", "outcome"])
    for (provider, outcome), count in sorted(counts.items()):
        attempts.add_metric([provider, outcome], count)
    return attempts
