"""What breakers, and what is known of how providers fare, say to Prometheus, read when scraped."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.health.breakers import Breakers
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.model import State


class BreakersCollector(Collector):
    """`providers`: the slugs of those that may be asked."""

    def __init__(self, breakers: Breakers, providers: Sequence[str]) -> None:
        self._breakers = breakers
        self._providers = providers

    def collect(self) -> Iterator[Metric]:
        counts = self._breakers.counts
        yield GaugeMetricFamily(
            "gatewayz_breakers_open",
            "Providers, and models of providers, that this worker leaves alone now.",
            self._breakers.open,
        )
        left_alone = GaugeMetricFamily(
            "gatewayz_provider_left_alone",
            "Of each provider, how many of its models this worker leaves alone now, itself among them.",
            labels=["provider"],
        )
        count = self._breakers.open_by_provider()
        for provider in self._providers:
            left_alone.add_metric([provider], count[provider])
        yield left_alone
        yield CounterMetricFamily(
            "gatewayz_breakers_opened", "How often this worker saw one begin to be left alone.", counts["opened"]
        )


class HealthCollector(Collector):
    """`providers`: the slugs of those that may be asked."""

    def __init__(self, health: FleetHealth, providers: Sequence[str]) -> None:
        self._health = health
        self._providers = providers

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "gatewayz_provider_state",
            "1 for the state of each provider, as all workers together see it, and 0 for its other states.",
            labels=["provider", "state"],
        )
        for provider in self._providers:
            found = self._health.state_of(provider)
            for state in State:
                states.add_metric([provider, state.value], state is found)
        yield states
        yield GaugeMetricFamily(
            "gatewayz_health_shared",
            "Whether this worker knows what others see of providers; 0 without Redis, or while it does not answer.",
            self._health.is_shared,
        )
