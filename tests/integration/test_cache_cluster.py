"""The cache over a real Redis Cluster: all slots, slots that move, servers that die."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.crc import key_slot
from tests.support.cache_world import STRICT, Source, Thing, eventually, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE
from tests.support.redis_cluster import RedisCluster, redis_cluster
from tests.support.redis_programs import VERSIONS, redis_program
from tests.support.redis_server import RedisServer
from tests.support.stale_watch import SlowSource, watched
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.bus import Bus
from gatewayz.cache.cache import Cache
from gatewayz.cache.cluster_nodes import ClusterNodes
from gatewayz.cache.errors import BusDown
from gatewayz.cache.redis_bus import RedisBus
from gatewayz.cache.redis_place import redis_place

pytestmark = pytest.mark.alone

KEYS = [f"key{n}" for n in range(60)]  # some in every server's slots

Worker = Callable[..., Cache]


@pytest.fixture(scope="module", params=VERSIONS)
async def settled(request: pytest.FixtureRequest) -> AsyncIterator[RedisCluster]:
    """A cluster whose tests leave every slot where it was."""
    async with redis_cluster(redis_program(request.param)) as cluster:
        yield cluster


@pytest.fixture
async def breakable(request: pytest.FixtureRequest) -> AsyncIterator[RedisCluster]:
    async with redis_cluster(redis_program(getattr(request, "param", VERSIONS[1]))) as cluster:
        yield cluster


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = dict.fromkeys(KEYS, 1)
    return source


@pytest.fixture
async def worker(source: Source) -> AsyncIterator[Worker]:
    """Makes workers that share a cluster, and a bus if there is one."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:

        def make(cluster: RedisCluster, *seeds: RedisServer, bus: Bus | None = None, source: Source = source) -> Cache:
            cache = local_cache(source, clock, redis=cluster.reach(*seeds), bus=bus)
            stack.push_async_callback(cache.close)
            return cache

        yield make


@pytest.fixture(autouse=True)
async def nothing_there(request: pytest.FixtureRequest) -> None:
    if "settled" in request.fixturenames:
        for server in request.getfixturevalue("settled").primaries:
            await server.admin.flushall()


async def fleet(worker: Worker, cluster: RedisCluster, size: int, **options: Any) -> list[Cache]:  # noqa: ANN401
    """Workers that tell each other what died, as those of a gateway do."""
    wire = Wire()
    workers = [worker(cluster, bus=WireBus(wire), **options) for _ in range(size)]
    for each in workers:
        await each.start()
    return workers


def slot_of(cache: Cache, text: str) -> int:
    return key_slot(f"{cache.prefix}test:strict:{text}".encode())


def nodes_of(cache: Cache) -> ClusterNodes:
    assert cache._tier is not None
    nodes = cache._tier._nodes
    assert isinstance(nodes, ClusterNodes)
    return nodes


async def leads_to(cache: Cache, text: str, server: RedisServer) -> None:
    """Until the worker knows that the server has the key."""
    nodes = nodes_of(cache)
    key = f"{cache.prefix}test:strict:{text}"

    def leads() -> bool:
        endpoint = nodes.of(key).main.endpoint
        return endpoint is not None and (endpoint.host, endpoint.port) == server.address

    await eventually(leads)


async def test_what_one_worker_loads_another_finds_whatever_its_slot(
    settled: RedisCluster, worker: Worker, source: Source
) -> None:
    one, two = worker(settled), worker(settled, settled.primaries[2])
    for key in KEYS:
        assert await one.get(STRICT, key) == Thing(key, 1)
    assert await two.get_many(STRICT, KEYS) == {key: Thing(key, 1) for key in KEYS}
    assert sorted(source.loads) == sorted(KEYS)
    sizes = [await server.admin.dbsize() for server in settled.primaries]
    assert min(sizes) > 5, "every primary holds some"


async def test_a_replica_as_the_only_seed_leads_to_the_primaries(
    settled: RedisCluster, worker: Worker, source: Source
) -> None:
    replica = settled.replicas[settled.primaries[0]]
    cache = worker(settled, replica)
    for key in KEYS:
        await cache.get(STRICT, key)
    fresh = worker(settled)
    assert await fresh.get_many(STRICT, KEYS) == {key: Thing(key, 1) for key in KEYS}
    assert len(source.loads) == len(KEYS)


async def test_an_invalidation_reaches_the_memory_of_every_worker(
    settled: RedisCluster, worker: Worker, source: Source
) -> None:
    one, two = worker(settled), worker(settled)
    for cache in (one, two, one):
        for key in KEYS:
            await cache.get(STRICT, key)
    for key in KEYS:
        source.rows[key] = 2
        cleared = await one.invalidate(STRICT, key)
        assert (cleared.shared, cleared.everywhere) == (1, True)
    await eventually(lambda: not any(two.peek(STRICT, key) for key in KEYS))
    assert await two.get_many(STRICT, KEYS) == {key: Thing(key, 2) for key in KEYS}
    source.rows = dict.fromkeys(KEYS, 3)
    await one.invalidate(STRICT)
    assert await worker(settled).get_many(STRICT, KEYS) == {key: Thing(key, 3) for key in KEYS}


async def test_a_cold_key_is_loaded_once_for_the_fleet(settled: RedisCluster, worker: Worker, source: Source) -> None:
    source.gate = asyncio.Event()
    workers = [worker(settled) for _ in range(4)]
    for key in KEYS[:6]:
        callers = [asyncio.create_task(cache.get(STRICT, key)) for cache in workers for _ in range(50)]
        await eventually(lambda: sum(bool(cache._reader._waiting) for cache in workers) == 3)
        source.gate.set()
        assert await asyncio.gather(*callers) == [Thing(key, 1)] * 200
        source.gate.clear()
    assert source.loads == KEYS[:6]


async def test_a_key_that_moves_is_followed_by_readers_fills_and_invalidations(
    settled: RedisCluster, worker: Worker, source: Source
) -> None:
    one, two = await fleet(worker, settled, 2)
    for cache in (one, two):
        await cache.get(STRICT, "key1")
    slot, home = slot_of(one, "key1"), settled.primary_of(f"{one.prefix}test:strict:key1")
    target = next(server for server in settled.primaries if server is not home)
    await settled.begin_moving(slot, home, target)
    source.rows["key1"] = 2
    await one.invalidate(STRICT, "key1")  # where it is still
    assert await two.get(STRICT, "key1") == Thing("key1", 2)
    await settled.move_keys(slot, home, target)
    source.rows["key1"] = 3
    await one.invalidate(STRICT, "key1")  # ASK
    assert await two.get(STRICT, "key1") == Thing("key1", 3)
    assert await worker(settled).get(STRICT, "key1") == Thing("key1", 3)
    assert source.loads == ["key1"] * 3
    await settled.end_moving(slot, home, target)
    source.rows["key1"] = 4
    await one.invalidate(STRICT, "key1")  # MOVED
    assert await two.get(STRICT, "key1") == Thing("key1", 4)
    await leads_to(one, "key1", target)
    await settled.move(slot, target, home)
    await leads_to(one, "key1", home)


async def test_memory_is_doubted_when_a_slot_moves_though_nothing_is_read(
    settled: RedisCluster, worker: Worker, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the pushes of a server whose keys are taken away are relied on."""
    monkeypatch.setattr("gatewayz.cache.redis_tier.RedisTier.pushed", lambda _tier, _push: None)
    one, two = worker(settled), worker(settled)
    for cache in (one, two):
        await cache.get(STRICT, "key1")
    slot, home = slot_of(one, "key1"), settled.primary_of(f"{one.prefix}test:strict:key1")
    target = next(server for server in settled.primaries if server is not home)
    await settled.move(slot, home, target)
    source.rows["key1"] = 2
    await two.invalidate(STRICT, "key1")
    await eventually(lambda: one.peek(STRICT, "key1") is None)
    assert await one.get(STRICT, "key1") == Thing("key1", 2)
    await settled.move(slot, target, home)
    await leads_to(one, "key1", home)


async def test_a_slot_may_move_while_a_lease_is_held(settled: RedisCluster, worker: Worker, source: Source) -> None:
    one, two = worker(settled), worker(settled)
    source.gate = asyncio.Event()
    first = asyncio.create_task(one.get(STRICT, "key1"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "key1"))
    await eventually(lambda: two._reader._waiting)
    slot, home = slot_of(one, "key1"), settled.primary_of(f"{one.prefix}test:strict:key1")
    target = next(server for server in settled.primaries if server is not home)
    await settled.move(slot, home, target)
    source.gate.set()
    assert await first == await second == Thing("key1", 1)
    assert source.loads == ["key1"]
    assert await worker(settled).get(STRICT, "key1") == Thing("key1", 1)
    assert source.loads == ["key1"]
    await settled.move(slot, target, home)


@pytest.mark.parametrize("breakable", VERSIONS, indirect=True)
async def test_an_invalidation_that_was_not_passed_on_is_told_to_the_replica_that_takes_over(
    breakable: RedisCluster, worker: Worker, source: Source
) -> None:
    one = worker(breakable)
    await one.get(STRICT, "key1")
    home = breakable.primary_of(f"{one.prefix}test:strict:key1")
    replica = breakable.replicas[home]
    await home.admin.wait(1, 5000)
    replica.freeze()
    await home.cut_off()  # nothing reaches the replica any more
    source.rows["key1"] = 2
    assert (await one.invalidate(STRICT, "key1")).everywhere
    home.kill()
    replica.thaw()
    await replica.until_it_answers()
    await breakable.promote(replica)
    assert await replica.admin.exists(f"{one.prefix}test:strict:key1"), "it has the older value"
    await leads_to(one, "key1", replica)
    assert await one.get(STRICT, "key1") == Thing("key1", 2)
    assert await worker(breakable, replica).get(STRICT, "key1") == Thing("key1", 2)


IN_ONE_SLOT = [f"{{m}}{n}" for n in range(8)]


@pytest.fixture
def slow() -> SlowSource:
    source = SlowSource(random.Random(5))
    source.rows = dict.fromkeys([*IN_ONE_SLOT, *KEYS[:12]], 1)
    return source


async def test_nothing_stale_is_read_while_a_slot_moves_to_and_fro_under_load(
    settled: RedisCluster, worker: Worker, slow: SlowSource
) -> None:
    workers = await fleet(worker, settled, 3, source=slow)
    slot, home = slot_of(workers[0], "{m}0"), settled.primary_of("{m}")
    target = next(server for server in settled.primaries if server is not home)
    async with watched(workers, slow, whole_every=20) as load:
        await load.goes_on(15)
        for source, goal in ((home, target), (target, home)) * 3:
            await settled.begin_moving(slot, source, goal)
            await load.goes_on(5)
            await settled.move_keys(slot, source, goal)
            await load.goes_on(5)
            await settled.move_keys(slot, source, goal)
            await settled.end_moving(slot, source, goal)
            await load.goes_on(15)
    errors = [dict(cache.stats().l2_errors) for cache in workers]
    assert not any(each.get("timeout") or each.get("connection") for each in errors), errors


async def test_nothing_stale_is_read_when_a_primary_dies_with_what_it_had_not_passed_on(
    breakable: RedisCluster, worker: Worker, slow: SlowSource
) -> None:
    workers = await fleet(worker, breakable, 3, source=slow)
    home = breakable.primary_of("{m}")
    replica = breakable.replicas[home]
    async with watched(workers, slow, whole_every=20) as load:
        await load.goes_on(15)
        replica.freeze()
        await home.cut_off()
        await load.goes_on(200)
        home.kill()
        await load.goes_on(5)
        replica.thaw()
        await replica.until_it_answers()
        await breakable.promote(replica)
        for cache in workers:
            await leads_to(cache, "{m}0", replica)
        await load.goes_on(200)


@asynccontextmanager
async def listening(
    cluster: RedisCluster, *seeds: RedisServer
) -> AsyncIterator[tuple[RedisBus, list[str], list[bool]]]:
    hosts = ",".join(f"{host}:{port}" for host, port in (server.address for server in seeds or cluster.primaries))
    place = redis_place(f"redis+cluster://{hosts}", connect_timeout=5, socket_timeout=5)
    bus, heard, lost = RedisBus(place.lines), list[str](), list[bool]()
    await bus.listen(heard.append, lambda: lost.append(True))
    yield bus, heard, lost
    await bus.close()
    await place.close()


async def test_a_message_is_confirmed_by_the_listeners_at_every_server(settled: RedisCluster) -> None:
    async with listening(settled) as (one, heard, _), listening(settled, settled.primaries[2]) as (_two, also_heard, _):
        assert await one.publish("a") is True
        assert heard == also_heard == ["a"]
        home = settled.primary_of("gw:bus")
        elsewhere = next(server for server in settled.primaries if server is not home).admin.pubsub()
        await elsewhere.subscribe("gw:bus")
        assert await elsewhere.get_message(timeout=30) is not None
        assert await one.publish("b") is False, "one who listens at another server has not confirmed"
        await elsewhere.aclose()  # type: ignore[no-untyped-call]


async def eventually_listening(bus: RedisBus, heard: list[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(BusDown):
                await bus.listen(heard.append, lambda: None)
                return
            await asyncio.sleep(0.01)


async def test_the_bus_moves_when_its_server_dies(breakable: RedisCluster) -> None:
    home = breakable.primary_of("gw:bus")
    async with listening(breakable) as (bus, heard, lost):
        home.kill()
        await breakable.promote(breakable.replicas[home])
        await eventually(lambda: lost)
        await eventually_listening(bus, heard)
        assert await bus.publish("c") is True
        assert heard == ["c"]
