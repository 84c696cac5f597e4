"""What a worker joins so that it, and its siblings with it, can be asked what they did."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from gatewayz.app import Parts
from gatewayz.cache.metrics import register
from gatewayz.core.supervision import Work, background
from gatewayz.settings import Settings, SettingsInvalid
from gatewayz.telemetry.config import LogConfig
from gatewayz.telemetry.fleet_metrics import METRICS, WRITE_EVERY, FleetMetrics
from gatewayz.telemetry.observed import Ended, Observed
from gatewayz.telemetry.redis_memory import ASK_EVERY, RedisMemory
from gatewayz.telemetry.request_lines import RequestLines
from gatewayz.telemetry.requests import Requests, RequestsCollector
from gatewayz.telemetry.siblings import AnswerTo, Siblings
from gatewayz.telemetry.slots import claimed


@dataclass(frozen=True)
class Measuring:
    """`metrics` of all workers of this serve, who ask each other by `siblings`. `requests` is told of each request."""

    metrics: FleetMetrics
    siblings: Siblings
    requests: Observed


@asynccontextmanager
async def measuring(
    parts: Parts, collectors: Iterable[Collector], answers: Mapping[str, AnswerTo]
) -> AsyncIterator[Measuring]:
    """`answers`: what else siblings may ask, by name."""
    settings, requests = parts.settings, Requests()
    registry, works = CollectorRegistry(), dict[str, tuple[Work, float]]()
    register(parts.cache, registry)
    for collector in (*collectors, RequestsCollector(requests)):
        registry.register(collector)
    if parts.redis is not None:
        memory = RedisMemory(parts.redis.memory)
        registry.register(memory)
        works["ask for Redis' memory"] = (memory.look, ASK_EVERY)
    ProcessCollector(registry=registry)
    async with AsyncExitStack() as stack:
        slot = stack.enter_context(claimed(settings.run_dir)) if settings.run_dir is not None else None
        metrics = FleetMetrics(registry, slot)
        stack.push_async_callback(metrics.write_down)
        works["write counts"] = (metrics.write_down, WRITE_EVERY)
        await stack.enter_async_context(background(works))
        siblings = Siblings(slot, {METRICS: metrics.answer, **answers})
        await siblings.open()
        stack.push_async_callback(siblings.close)
        traces = _traces(settings, siblings.number, stack)
        rng = random.Random()  # noqa: S311  which requests are traced is no secret
        observed = Observed(requests, _lines(settings.log), traces, settings.traces.share, rng)
        yield Measuring(metrics, siblings, observed)


def _lines(config: LogConfig) -> RequestLines | None:
    is_wanted = config.requests and config.level in ("debug", "info")
    return RequestLines(most=config.most_request_lines) if is_wanted else None


def _traces(settings: Settings, worker: int, stack: AsyncExitStack) -> Ended | None:
    endpoint = settings.traces.endpoint
    if endpoint is None:
        return None
    try:
        from gatewayz.telemetry.traces import Traces  # noqa: PLC0415  an extra: not there, or not paid for, unless wanted
    except ImportError as error:
        raise SettingsInvalid(
            f"GATEWAYZ_TRACES__ENDPOINT: {error}; install gatewayz with its extra `otel`, or unset it"
        ) from error
    traces = Traces(endpoint, worker=worker)
    stack.push_async_callback(lambda: asyncio.to_thread(traces.close))
    return traces
