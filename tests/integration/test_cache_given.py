"""Values that no loader brings, in several workers over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import eventually, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.given_world import GIVEN, Bringing, give, given, version_in

from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.errors import SomeFailed
from gatewayz.cache.flight import Served

pytestmark = pytest.mark.alone

Worker: TypeAlias = Callable[[], Cache]


@pytest.fixture
async def redis(versioned_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(versioned_redis_url) as client:
        yield client


@pytest.fixture
async def worker(redis: Redis, clock: FakeClock) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:

        def make() -> Cache:
            cache = local_cache(object(), clock, entities=(GIVEN,), redis=redis)
            stack.push_async_callback(cache.close)
            return cache

        yield make


@pytest.mark.parametrize("text", ["", "x" * 100_000], ids=["small", "large"])
async def test_what_one_worker_was_given_another_finds(worker: Worker, text: str) -> None:
    one, two = worker(), worker()
    assert await version_in(two) is None
    assert await give(one, 1, "account:1", text=text)
    found = await two.find(GIVEN, "a")
    assert found is not None
    assert (found.value.version, found.served) == (1, Served.HIT_L2)
    again = await two.find(GIVEN, "a")
    assert again is not None
    assert again.served is Served.HIT_L1


async def test_a_newer_value_of_another_worker_replaces_what_is_at_hand(worker: Worker) -> None:
    one, two = worker(), worker()
    assert await give(one, 1)
    assert await version_in(two) == 1
    assert await give(one, 2)
    await eventually(lambda: two.peek(GIVEN, "a") is None or two.peek(GIVEN, "a").version == 2)  # type: ignore[union-attr]
    assert await version_in(two) == 2


@pytest.mark.parametrize("kill", ["key", "all", "tag"])
async def test_what_another_worker_invalidated_meanwhile_enters_no_tier(
    worker: Worker, clock: FakeClock, kill: str
) -> None:
    one, two = worker(), worker()
    assert await give(one, 1, "account:1")
    async with one.keeping(GIVEN, "a") as keep:
        clock.advance(1)
        if kill == "tag":
            await two.invalidate_tag("account:1")
        elif kill == "all":
            await two.invalidate(GIVEN)
        else:
            await two.invalidate(GIVEN, "a")
        assert not await keep(given(2, "account:1"))
    assert await version_in(one) is None
    assert await version_in(two) is None
    assert await give(one, 3, "account:1")
    assert await version_in(two) == 3


async def test_a_value_that_redis_lost_meanwhile_is_not_put_back_over_what_may_have_come(
    worker: Worker, redis: Redis
) -> None:
    """FLUSHALL forgets generations: who began before it cannot tell what was invalidated since."""
    one = worker()
    async with one.keeping(GIVEN, "a") as keep:
        await redis.flushall()
        assert not await keep(given(1))
    assert await version_in(one) is None


async def test_of_two_workers_one_asks_for_each_of_many_keys(worker: Worker) -> None:
    one, two = Bringing(1), Bringing(2)
    one.gate = asyncio.Event()
    caches = worker(), worker()
    first = asyncio.create_task(caches[0].get_many(GIVEN, ["a", "b"], one.load))
    await until(one.loading)
    second = asyncio.create_task(caches[1].get_many(GIVEN, ["b", "c"], two.load))
    await until(two.loading)
    one.gate.set()
    await first
    assert {key: thing.version for key, thing in (await second).items()} == {"b": 1, "c": 2}
    assert (one.asked, two.asked) == ([["a", "b"]], [["c"]])
    found = await caches[0].find_many(GIVEN, ["a", "b", "c"])
    assert {key: each.served for key, each in found.items()} == {
        "a": Served.HIT_L1,
        "b": Served.HIT_L1,
        "c": Served.HIT_L2,
    }


async def test_who_waits_for_another_worker_that_fails_is_told_and_may_load_by_itself(worker: Worker) -> None:
    one, two = Bringing(1), Bringing(2)
    one.gate = asyncio.Event()
    one.failing = {"a": ZeroDivisionError()}
    caches = worker(), worker()
    first = asyncio.create_task(caches[0].get_many(GIVEN, ["a"], one.load))
    await until(one.loading)
    second = asyncio.create_task(caches[1].get_many(GIVEN, ["a"], two.load))
    await eventually(lambda: caches[1].stats().entities["test:given"].counts.leases_awaited == 1)
    one.gate.set()
    for each in (first, second):
        with pytest.raises(SomeFailed):
            await each
    assert not two.asked
    assert (await caches[1].get_many(GIVEN, ["a"], two.load, anew=True))["a"].version == 2
