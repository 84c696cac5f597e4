"""How full Redis is: asked now and then, told when scraped."""

from collections.abc import Awaitable, Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

ASK_EVERY = 10.0
"""Seconds."""


class RedisMemory(Collector):
    """`ask`: for the bytes that are used and those that may be. While it raises, nothing is told."""

    def __init__(self, ask: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._ask = ask
        self._told: tuple[int, int] | None = None

    async def look(self) -> None:
        """Raises what `ask` raises."""
        self._told = None
        self._told = await self._ask()

    def collect(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("gatewayz_redis_memory_bytes", "Bytes that Redis uses.")
        limit = GaugeMetricFamily(
            "gatewayz_redis_memory_limit_bytes", "Bytes that Redis may use: its `maxmemory`, else what its host has."
        )
        if self._told is not None:
            used.add_metric([], self._told[0])
            limit.add_metric([], self._told[1])
        yield from (used, limit)
