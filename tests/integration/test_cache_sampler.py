"""What Redis holds, compared with the source."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from tests.support.cache_world import LENIENT, Source, Thing, load_thing, local_cache, settled
from tests.support.fake_clock import FakeClock
from tests.support.sampling import TOLD, sampled, samples
from tests.support.scripted_redis import scripted_redis

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.cache import Cache
from gatewayz.cache.codec import opened, sealed
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity, Policy, same_key
from gatewayz.cache.samples import EntitySamples, Violation

Worker: TypeAlias = Callable[[], Cache]

ABOVE = Entity(name="test:above", value=Thing, load=load_thing, policy=Policy(fresh=300), hangs_on=(same_key(TOLD),))


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1}
    return source


@pytest.fixture
async def worker(redis: Redis, source: Source, clock: FakeClock) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:

        def make() -> Cache:
            cache = local_cache(source, clock, entities=[TOLD, ABOVE, LENIENT], redis=redis, sampler_rate=1)
            stack.push_async_callback(cache.close)
            return cache

        yield make


def of_told(cache: Cache) -> EntitySamples:
    return samples(cache).entities["test:told"]


async def plant(cache: Cache, redis: Redis, value: Thing) -> None:
    """Another value of the key `a`, in the very fill that stands in Redis."""
    key = f"{cache.prefix}test:told:a"
    raw = await redis.hget(key, "v")
    assert isinstance(raw, bytes)
    await redis.hset(key, "v", sealed(replace(opened(raw), payload=msgspec.msgpack.encode(value))))


async def test_tiers_that_agree_with_the_source_are_counted(worker: Worker, clock: FakeClock) -> None:
    cache = worker()
    await cache.get(TOLD, "a")
    await sampled(cache, clock)
    assert (of_told(cache).l1.checks, of_told(cache).l2.checks) == (1, 1)
    assert (of_told(cache).l1.violations, of_told(cache).l2.violations) == (0, 0)


async def test_a_wrong_value_in_redis_is_found_told_and_invalidated_with_what_hangs_on_it(
    worker: Worker, redis: Redis, clock: FakeClock
) -> None:
    told: list[Violation] = []
    gone, cache, other = worker(), worker(), worker()
    cache.on_violation(told.append)
    await gone.get(TOLD, "a")
    await gone.close()
    await plant(cache, redis, Thing("a", 999))
    assert await cache.get(TOLD, "a") == Thing("a", 999)
    await sampled(cache, clock)
    await cache.get(ABOVE, "a")
    await sampled(cache, clock, 2)
    await settled()
    assert (of_told(cache).l1.violations, of_told(cache).l2.violations) == (1, 1)
    assert sorted(each.tier for each in told) == ["l1", "l2"]
    assert cache.peek(ABOVE, "a") is None
    assert await other.get(TOLD, "a") == Thing("a", 1)
    assert await cache.get(TOLD, "a") == Thing("a", 1)


async def test_a_wrong_value_in_redis_that_was_replaced_since_is_left_alone(
    worker: Worker, redis: Redis, clock: FakeClock
) -> None:
    gone, cache = worker(), worker()
    await gone.get(TOLD, "a")
    await gone.close()
    await plant(cache, redis, Thing("a", 999))
    await cache.get(TOLD, "a")
    await sampled(cache, clock)
    assert await cache.refresh(TOLD, "a") == Thing("a", 1)
    await sampled(cache, clock, 2)
    assert (of_told(cache).l2.violations, of_told(cache).healed) == (0, 1)
    assert cache.stats().entities["test:told"].counts.invalidations == 0


async def test_a_redis_that_does_not_answer_is_not_judged(source: Source, clock: FakeClock) -> None:
    async with scripted_redis() as server, connect(f"unix://{server.socket}") as client:
        cache = local_cache(source, clock, entities=[TOLD], redis=client, budgets=Budgets(), sampler_rate=1)
        assert await cache.get(TOLD, "a") == Thing("a", 1)
        await sampled(cache, clock)
        assert (of_told(cache).l1.checks, of_told(cache).l2.checks) == (1, 0)
        await cache.close()
