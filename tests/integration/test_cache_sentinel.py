"""The cache where Sentinel says which Redis leads: switches, deaths, and what a new primary was never told."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from redis.exceptions import RedisError
from tests.support.cache_world import STRICT, Source, Thing, eventually, local_cache
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import own_redis
from tests.support.redis_programs import VERSIONS, redis_program
from tests.support.redis_sentinel import Watched, watched_by_sentinels
from tests.support.redis_server import RedisServer
from tests.support.stale_watch import SlowSource, watched
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.bus import Bus
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.redis_bus import RedisBus
from gatewayz.cache.redis_place import redis_place

pytestmark = pytest.mark.alone

KEYS = [f"key{n}" for n in range(20)]

Worker = Callable[..., Cache]


EACH_VERSION = pytest.mark.parametrize("servers", VERSIONS, indirect=True)


@pytest.fixture
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    async with watched_by_sentinels(redis_program(getattr(request, "param", VERSIONS[1]))) as servers:
        yield servers


@pytest.fixture
def source() -> SlowSource:
    source = SlowSource(random.Random(5))
    source.rows = dict.fromkeys(KEYS, 1)
    return source


@pytest.fixture
async def worker(source: Source) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:

        def make(servers: Watched, bus: Bus | None = None) -> Cache:
            place = redis_place(servers.url, connect_timeout=5, socket_timeout=5)
            stack.push_async_callback(place.close)
            cache = local_cache(source, FakeClock(), redis=place.over, bus=bus)
            stack.push_async_callback(cache.close)
            return cache

        yield make


async def fleet(worker: Worker, servers: Watched, size: int) -> list[Cache]:
    wire = Wire()
    workers = [worker(servers, WireBus(wire)) for _ in range(size)]
    for each in workers:
        await each.start()
    return workers


async def leads_to(cache: Cache, server: RedisServer) -> None:
    assert cache._tier is not None
    main = cache._tier._nodes.of("").main
    await eventually(lambda: main.is_connected and main.endpoint is not None and main.endpoint.port == server.port)


async def test_a_switch_under_load_is_followed_and_nothing_stale_is_read(
    servers: Watched, worker: Worker, source: SlowSource
) -> None:
    workers = await fleet(worker, servers, 3)
    async with watched(workers, source) as load:
        await load.goes_on(30)
        await servers.fail_over()
        for cache in workers:
            await leads_to(cache, servers.replica)
        await load.goes_on(100)


@EACH_VERSION
async def test_what_the_dead_primary_had_not_passed_on_is_told_to_its_successor(
    servers: Watched, worker: Worker, source: SlowSource
) -> None:
    one, two = await fleet(worker, servers, 2)
    for key in KEYS:
        await one.get(STRICT, key)
    await servers.primary.admin.wait(1, 5000)
    servers.replica.freeze()
    await servers.primary.cut_off()
    source.rows["key1"] = 2
    assert (await one.invalidate(STRICT, "key1")).everywhere
    servers.primary.kill()
    servers.replica.thaw()
    await servers.fail_over()
    await leads_to(two, servers.replica)
    assert await servers.replica.admin.exists(f"{two.prefix}test:strict:key1"), "it has the older value"
    assert await two.get(STRICT, "key1") == Thing("key1", 2), "told by the other worker, it tells the new primary"
    loads = len(source.loads)
    assert await two.get(STRICT, "key2") == Thing("key2", 1)
    assert len(source.loads) == loads, "the rest is as good as before"


async def test_workers_at_two_primaries_read_nothing_that_either_was_told_is_dead(source: SlowSource) -> None:
    """As while a failover goes on, or where the network has parted."""
    wire = Wire()
    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(2):
            redis = await stack.enter_async_context(connect(stack.enter_context(own_redis()).url))
            cache = local_cache(source, FakeClock(), redis=redis, bus=WireBus(wire))
            await cache.start()
            stack.push_async_callback(cache.close)
            workers.append(cache)
        for version, (here, there) in enumerate((workers, workers[::-1]), start=2):
            for cache in workers:
                await cache.get(STRICT, "key1")
            source.rows["key1"] = version
            assert (await here.invalidate(STRICT, "key1")).everywhere
            assert await there.get(STRICT, "key1") == Thing("key1", version)


async def test_a_primary_that_was_demoted_unseen_is_left(servers: Watched, worker: Worker, source: SlowSource) -> None:
    """Its links stay up, and it would answer reads for ever."""
    cache = worker(servers)
    await cache.get(STRICT, "key1")
    await leads_to(cache, servers.primary)
    await servers.replica.ask("REPLICAOF", "NO", "ONE")
    await servers.primary.ask("REPLICAOF", *servers.replica.address)
    assert cache._tier is not None
    main = cache._tier._nodes.of("").main
    await eventually(lambda: not main.is_connected)
    source.rows["key1"] = 2
    await cache.invalidate(STRICT, "key1")
    assert await cache.get(STRICT, "key1") == Thing("key1", 2)


async def test_the_bus_goes_where_the_primary_is(servers: Watched) -> None:
    place = redis_place(servers.url, connect_timeout=5, socket_timeout=5)
    bus = RedisBus(place.lines)
    heard: list[str] = []
    lost: list[bool] = []
    await bus.listen(heard.append, lambda: lost.append(True))
    assert await bus.publish("one") is True
    assert heard == ["one"]
    await servers.fail_over()
    await eventually(lambda: lost)
    await bus.listen(heard.append, lambda: None)
    assert await bus.publish("two") is True
    assert heard == ["one", "two"]
    assert "that Sentinel names" in await place.seen()
    await bus.close()
    await place.close()


async def test_it_is_said_where_no_sentinel_answers(servers: Watched) -> None:
    place = redis_place(servers.url)
    for sentinel in servers.sentinels:
        sentinel.kill()
    with pytest.raises(RedisError, match="no Sentinel names a primary of 'mymaster'"):
        await place.ping()
    await place.close()
