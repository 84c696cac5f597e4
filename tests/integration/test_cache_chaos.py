"""Redis frozen, killed and cut off, with the real bus over it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import LENIENT, STRICT, WHOLE, Source, Thing, local_cache, settled, until
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.patience import PATIENCE

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.bus import Bus
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.redis_bus import RedisBus

pytestmark = pytest.mark.alone


class WatchedBus:
    """Passes all on and tells when the subscription comes and goes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.subscribed = asyncio.Event()
        self.lost = asyncio.Event()

    async def publish(self, payload: str) -> bool:
        return await self._bus.publish(payload)

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        def lost() -> None:
            self.subscribed.clear()
            self.lost.set()
            on_lost()

        await self._bus.listen(on_message, lost)
        self.lost.clear()
        self.subscribed.set()

    async def close(self) -> None:
        await self._bus.close()


class WatchedWorker:
    def __init__(self, cache: Cache, bus: WatchedBus) -> None:
        self.cache = cache
        self.bus = bus

    async def trusts_again(self) -> None:
        await until(self.bus.subscribed)
        await settled()


Make: TypeAlias = Callable[..., Awaitable[WatchedWorker]]


QUICK = Budgets(answer=0.2, large=0.2)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1}
    return source


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.fixture
async def worker(server: OwnRedis, source: Source, clock: FakeClock) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def make(*, patient: bool = True) -> WatchedWorker:
            if patient:
                redis = await stack.enter_async_context(connect(server.url, connect_timeout=30, socket_timeout=30))
                bus = WatchedBus(RedisBus(redis, sent_within=30, acknowledged_within=30))
                cache = local_cache(source, clock, redis=redis, bus=bus)
            else:
                redis = await stack.enter_async_context(connect(server.url))
                bus = WatchedBus(RedisBus(redis, beat=0.1))
                cache = local_cache(source, clock, redis=redis, bus=bus, budgets=QUICK)
            stack.push_async_callback(cache.close)
            await cache.start()
            return WatchedWorker(cache, bus)

        yield make


async def test_an_invalidation_is_acknowledged_by_every_worker_before_it_returns(worker: Make, source: Source) -> None:
    workers = [await worker() for _ in range(3)]
    for version in range(2, 30):
        for each in workers:
            await each.cache.get(STRICT, "a")
        source.rows["a"] = version
        cleared = await workers[version % 3].cache.invalidate(STRICT, "a")
        assert cleared.everywhere
        assert [each.cache.peek(STRICT, "a") for each in workers] == [None] * 3
        assert [await each.cache.get(STRICT, "a") for each in workers] == [Thing("a", version)] * 3


async def test_a_cascade_reaches_every_worker(worker: Make, source: Source) -> None:
    one, two = await worker(), await worker()
    assert await two.cache.get(WHOLE) == Thing("whole", 1)
    source.rows["whole"] = 2
    assert (await one.cache.invalidate(LENIENT, "a")).everywhere
    assert await two.cache.get(WHOLE) == Thing("whole", 2)


async def test_a_frozen_redis_costs_one_budget_and_then_nothing(
    worker: Make, server: OwnRedis, source: Source, clock: FakeClock
) -> None:
    cache = (await worker(patient=False)).cache
    await cache.get(STRICT, "a")
    before = cache.stats().l2_errors.get("timeout", 0)
    server.freeze()
    source.rows |= {f"k{n}": n for n in range(100)}
    for n in range(100):
        assert await cache.get(LENIENT, f"k{n}") == Thing(f"k{n}", n)
    stats = cache.stats()
    assert (stats.l2, stats.l2_errors["timeout"]) == ("open", before + 1)
    server.thaw()
    async with asyncio.timeout(PATIENCE):
        while cache.stats().l2 != "closed":
            clock.advance(6)
            await cache.get(LENIENT, "new")
            await cache.invalidate(LENIENT, "new")


async def test_a_frozen_redis_is_noticed_by_the_heartbeat(worker: Make, server: OwnRedis, source: Source) -> None:
    one = await worker(patient=False)
    await one.cache.get(STRICT, "a")
    server.freeze()
    await until(one.bus.lost)
    assert one.cache.peek(STRICT, "a") is None
    source.rows["a"] = 2
    assert await one.cache.get(STRICT, "a") == Thing("a", 2)
    server.thaw()
    await one.trusts_again()
    assert one.cache.stats().trusted


async def test_an_invalidation_while_redis_is_frozen_is_made_good_before_redis_is_read_again(
    worker: Make, server: OwnRedis, source: Source, clock: FakeClock
) -> None:
    one = await worker(patient=False)
    await one.cache.get(STRICT, "a")
    server.freeze()
    source.rows["a"] = 2
    cleared = await one.cache.invalidate(STRICT, "a")
    assert not cleared.everywhere
    assert one.cache.stats().unsent > 0
    assert await one.cache.get(STRICT, "a") == Thing("a", 2)
    await until(one.bus.lost)
    server.thaw()
    clock.advance(6)
    assert await one.cache.get(STRICT, "a") == Thing("a", 2)
    await one.trusts_again()
    clock.advance(6)
    async with asyncio.timeout(PATIENCE):
        while not await one.cache.repair():
            clock.advance(6)
    two = await worker(patient=False)
    assert await two.cache.get(STRICT, "a") == Thing("a", 2)


async def test_a_killed_redis_leaves_memory_and_source_and_comes_back_by_itself(
    worker: Make, server: OwnRedis, source: Source, clock: FakeClock
) -> None:
    one = await worker(patient=False)
    await one.cache.get(LENIENT, "a")
    server.kill()
    await until(one.bus.lost)
    source.rows["a"] = 2
    for _ in range(20):
        assert await one.cache.get(LENIENT, "a") == Thing("a", 2)
    assert source.loads == ["a", "a"]
    server.start()
    clock.advance(6)
    await one.trusts_again()
    source.rows["a"] = 3
    assert (await one.cache.invalidate(LENIENT, "a")).everywhere
    two = await worker(patient=False)
    assert await two.cache.get(LENIENT, "a") == Thing("a", 3)
    assert await one.cache.get(LENIENT, "a") == Thing("a", 3)
    assert source.loads == ["a", "a", "a"]


async def test_a_cut_subscription_drops_what_may_not_be_stale_and_rereads_the_rest(
    worker: Make, server: OwnRedis, source: Source
) -> None:
    one, two = await worker(), await worker()
    await one.cache.get(STRICT, "a")
    await one.cache.get(LENIENT, "a")
    async with Redis.from_url(server.url) as admin:
        await admin.client_kill_filter(_type="pubsub")
    await until(one.bus.lost)
    assert one.cache.peek(STRICT, "a") is None
    assert one.cache.peek(LENIENT, "a") is None
    await one.trusts_again()
    await two.trusts_again()
    assert await one.cache.get(LENIENT, "a") == Thing("a", 1)
    assert one.cache.peek(LENIENT, "a") == Thing("a", 1)
    assert source.loads == ["a", "a"]


async def test_workers_of_two_builds_invalidate_each_other(
    worker: Make, server: OwnRedis, source: Source, clock: FakeClock
) -> None:
    old = await worker()
    await old.cache.get(STRICT, "a")
    async with connect(server.url) as redis:
        bus = RedisBus(redis, sent_within=30, acknowledged_within=30)
        new = local_cache(source, clock, entities=[STRICT], redis=redis, bus=bus)
        await new.start()
        assert new.prefix != old.cache.prefix
        source.rows["a"] = 2
        await new.invalidate(STRICT, "a")
        assert await old.cache.get(STRICT, "a") == Thing("a", 2)
        async with asyncio.timeout(PATIENCE):
            while not await old.cache.repair():
                pass
        await new.close()
    assert await (await worker()).cache.get(STRICT, "a") == Thing("a", 2)
