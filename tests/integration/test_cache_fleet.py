"""One load for a cold key, however many workers ask: workers that share a Redis and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import BATCHED, STRICT, Source, Thing, eventually, local_cache, until
from tests.support.fake_clock import FakeClock

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.errors import LoadFailed

pytestmark = pytest.mark.alone

Worker = Callable[[], Cache]


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "c": 1}
    source.gate = asyncio.Event()
    return source


@pytest.fixture
async def redis(versioned_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(versioned_redis_url) as client:
        yield client


@pytest.fixture
async def worker(redis: Redis, source: Source) -> AsyncIterator[Worker]:
    clock = FakeClock()
    async with AsyncExitStack() as stack:

        def make() -> Cache:
            cache = local_cache(source, clock, redis=redis)
            stack.push_async_callback(cache.close)
            return cache

        yield make


def waits(cache: Cache) -> bool:
    return bool(cache._reader._waiting)


async def test_a_cold_key_is_loaded_once_for_all_callers_of_all_workers(worker: Worker, source: Source) -> None:
    workers = [worker() for _ in range(4)]
    callers = [asyncio.create_task(cache.get(STRICT, "a")) for cache in workers for _ in range(250)]
    await eventually(lambda: sum(map(waits, workers)) == 3)
    assert source.gate is not None
    source.gate.set()
    assert await asyncio.gather(*callers) == [Thing("a", 1)] * 1000
    assert source.loads == ["a"]
    assert all(cache.peek(STRICT, "a") == Thing("a", 1) for cache in workers)


async def test_an_absence_is_found_once_too(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    first = asyncio.create_task(one.get(STRICT, "no"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "no"))
    await eventually(lambda: waits(two))
    assert source.gate is not None
    source.gate.set()
    assert await first is await second is None
    assert source.loads == ["no"]


async def test_a_load_that_fails_has_failed_for_all_who_waited_for_it(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "a"))
    await eventually(lambda: waits(two))
    source.failing = OSError("away")
    assert source.gate is not None
    source.gate.set()
    with pytest.raises(LoadFailed):
        await first
    with pytest.raises(LoadFailed) as failed:
        await second
    assert str(failed.value.__cause__) == "the load in another worker failed with OSError"
    assert source.loads == ["a"]
    source.failing = None
    assert await two.get(STRICT, "a") == Thing("a", 1)


async def test_when_the_loading_worker_dies_one_other_loads_after_its_time(redis: Redis, source: Source) -> None:
    budgets = Budgets(answer=30, large=30, lease=0.2)
    dying, *others = (local_cache(source, FakeClock(), redis=redis, budgets=budgets) for _ in range(4))
    lost = asyncio.create_task(dying.get(STRICT, "a"))
    await until(source.loading)
    waiting = [asyncio.create_task(cache.get(STRICT, "a")) for cache in others]
    await eventually(lambda: all(map(waits, others)))
    await dying.close()
    with pytest.raises(LoadFailed):
        await lost
    assert source.gate is not None
    source.gate.set()
    assert await asyncio.gather(*waiting) == [Thing("a", 1)] * 3
    assert source.loads == ["a", "a"]
    for cache in others:
        await cache.close()


async def test_an_invalidation_during_the_load_leads_every_waiter_to_the_newer_value(
    worker: Worker, source: Source
) -> None:
    one, two, three = worker(), worker(), worker()
    callers = [asyncio.create_task(one.get(STRICT, "a"))]
    await until(source.loading)
    callers.append(asyncio.create_task(two.get(STRICT, "a")))
    await eventually(lambda: waits(two))
    gate, source.gate = source.gate, None
    source.rows["a"] = 2
    await three.invalidate(STRICT, "a")
    assert await callers[1] == Thing("a", 2)
    assert gate is not None
    gate.set()
    assert await callers[0] == Thing("a", 2)


async def test_a_caller_who_leaves_while_another_worker_loads_harms_nobody(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    leaving, staying = (asyncio.create_task(two.get(STRICT, "a")) for _ in range(2))
    await eventually(lambda: waits(two))
    leaving.cancel()
    assert source.gate is not None
    source.gate.set()
    assert await staying == await first == Thing("a", 1)
    assert source.loads == ["a"]


async def test_a_cache_that_closes_while_another_worker_loads_answers_its_callers(
    worker: Worker, source: Source
) -> None:
    one, two = worker(), worker()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "a"))
    await eventually(lambda: waits(two))
    await two.close()
    with pytest.raises(LoadFailed):
        await second
    assert source.gate is not None
    source.gate.set()
    assert await first == Thing("a", 1)


async def test_keys_asked_for_together_wait_only_for_those_that_another_loads(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    first = asyncio.create_task(one.get(BATCHED, "a"))
    await until(source.loading)
    second = asyncio.create_task(two.get_many(BATCHED, ["a", "b", "c"]))
    await eventually(lambda: "b+c" in source.loads)
    assert source.gate is not None
    source.gate.set()
    assert await second == {key: Thing(key, 1) for key in "abc"}
    assert await first == Thing("a", 1)
    assert source.loads == ["a", "b+c"]
