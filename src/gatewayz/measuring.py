"""What a worker joins so that it, and its siblings with it, can be asked what they did."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from gatewayz.app import Parts
from gatewayz.cache.metrics import register
from gatewayz.core.supervision import background
from gatewayz.telemetry.fleet_metrics import METRICS, WRITE_EVERY, FleetMetrics
from gatewayz.telemetry.siblings import AnswerTo, Siblings
from gatewayz.telemetry.slots import claimed


@dataclass(frozen=True)
class Measuring:
    """`metrics` of all workers of this serve, who ask each other by `siblings`."""

    metrics: FleetMetrics
    siblings: Siblings


@asynccontextmanager
async def measuring(
    parts: Parts, collectors: Iterable[Collector], answers: Mapping[str, AnswerTo]
) -> AsyncIterator[Measuring]:
    """`answers`: what else siblings may ask, by name."""
    registry = CollectorRegistry()
    register(parts.cache, registry)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    directory = parts.settings.run_dir
    async with AsyncExitStack() as stack:
        slot = stack.enter_context(claimed(directory)) if directory is not None else None
        metrics = FleetMetrics(registry, slot)
        stack.callback(metrics.write_down)

        async def write_down() -> None:
            metrics.write_down()

        await stack.enter_async_context(background({"write counts": (write_down, WRITE_EVERY)}))
        siblings = Siblings(slot, {METRICS: metrics.answer, **answers})
        await siblings.open()
        stack.push_async_callback(siblings.close)
        yield Measuring(metrics, siblings)
