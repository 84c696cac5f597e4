"""What dies together: tags, ages and namespaces, and loads from a source that lags. Workers share a Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import Source, Thing, eventually, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import own_redis

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity, Loaded, Policy, required_position
from gatewayz.cache.errors import LoadFailed
from gatewayz.cache.redis_bus import RedisBus

pytestmark = pytest.mark.alone

Worker = Callable[[], Cache]


async def load_tagged(source: Source, key: str) -> Loaded[Thing] | None:
    """`a1` belongs to account `a`."""
    thing = await source.read(key)
    return Loaded(value=thing, tags=(f"account:{key[0]}", "model:m"))


async def load_sum(source: Source, key: str) -> Thing | None:
    return await source.read(key)


ANSWER = Entity(
    name="test:answer", value=Thing, load=load_tagged, policy=Policy(fresh=300, stale=1000), tags=("account", "model")
)
PLAIN = Entity(name="test:plain", value=Thing, load=load_sum, policy=Policy(fresh=300))
SUM = Entity(name="sum:answers", value=Thing, load=load_sum, policy=Policy(fresh=300), hangs_on=(ANSWER,))
ENTITIES = (ANSWER, PLAIN, SUM)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a1": 1, "a2": 1, "b1": 1, "s": 1}
    return source


@pytest.fixture(params=["no Redis", "Redis"])
async def worker(
    request: pytest.FixtureRequest, redis_url: str, source: Source, clock: FakeClock
) -> AsyncIterator[Worker]:
    kind = request.param
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(redis_url, connect_timeout=30, socket_timeout=30))
        made: list[Cache] = []

        def make() -> Cache:
            if kind == "no Redis" and made:
                return made[0]
            cache = local_cache(source, clock, entities=ENTITIES, redis=None if kind == "no Redis" else redis)
            made.append(cache)
            stack.push_async_callback(cache.close)
            return cache

        yield make


async def test_a_tag_kills_what_carries_it_in_every_worker_and_nothing_else(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    for cache in (one, two):
        for key in ("a1", "a2", "b1"):
            assert await cache.get(ANSWER, key) == Thing(key, 1)
    source.rows = {"a1": 2, "a2": 2, "b1": 2}
    assert (await one.invalidate_tag("account:a")).everywhere
    await eventually(lambda: two.peek(ANSWER, "a1") is None)
    for cache in (one, two):
        assert await cache.get(ANSWER, "a1") == Thing("a1", 2)
        assert await cache.get(ANSWER, "a2") == Thing("a2", 2)
        assert await cache.get(ANSWER, "b1") == Thing("b1", 1)
    assert sorted(source.loads) == ["a1", "a1", "a2", "a2", "b1"]


async def test_what_hangs_on_tagged_values_dies_with_the_tag(worker: Worker, source: Source) -> None:
    cache = worker()
    await cache.get(SUM, "s")
    source.rows["s"] = 2
    await cache.invalidate_tag("account:a")
    assert await cache.get(SUM, "s") == Thing("s", 2)


async def test_a_tag_killed_during_a_load_refuses_what_it_brings(worker: Worker, source: Source) -> None:
    slow, quick = worker(), worker()
    gate = source.gate = asyncio.Event()
    early = asyncio.create_task(slow.get(ANSWER, "a1"))
    await until(source.loading)
    source.rows["a1"] = 2
    source.gate = None
    await quick.invalidate_tag("account:a")
    late = asyncio.create_task(quick.get(ANSWER, "a1"))
    gate.set()
    await early
    assert await late == Thing("a1", 2)
    assert await slow.get(ANSWER, "a1") == Thing("a1", 2)


async def test_a_tag_that_redis_forgot_kills_and_never_resurrects(
    worker: Worker, source: Source, redis_url: str
) -> None:
    one = worker()
    await one.get(ANSWER, "a1")
    source.rows["a1"] = 2
    await one.invalidate_tag("account:a")
    async with Redis.from_url(redis_url) as admin:
        for key in await admin.keys("*account:a"):
            await admin.delete(key)
    assert await worker().get(ANSWER, "a1") == Thing("a1", 2)
    assert await one.get(ANSWER, "a1") == Thing("a1", 2)


async def test_what_is_older_than_a_moment_dies_alone(worker: Worker, source: Source, clock: FakeClock) -> None:
    one, two = worker(), worker()
    await one.get(ANSWER, "a1")
    clock.advance(10)
    moment = clock.now()
    await one.get(ANSWER, "b1")
    await two.get(ANSWER, "b1")
    source.rows = {"a1": 2, "b1": 2}
    cleared = await one.clear(older_than=moment)
    assert cleared.everywhere
    for cache in (one, two):
        assert await cache.get(ANSWER, "a1") == Thing("a1", 2)
        assert await cache.get(ANSWER, "b1") == Thing("b1", 1)


async def test_who_was_away_does_not_keep_what_became_too_old_meanwhile(
    redis_url: str, source: Source, clock: FakeClock
) -> None:
    """Neither the generation nor the stamp tells: the value that died is the one in memory."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(connect(redis_url, connect_timeout=30, socket_timeout=30))
        answer = Entity(name="test:answer", value=Thing, load=load_sum, policy=ANSWER.policy)
        one, two = (local_cache(source, clock, entities=[answer], redis=admin) for _ in range(2))
        for cache in (one, two):
            stack.push_async_callback(cache.close)
        await two.get(answer, "a1")
        await one.get(answer, "b1")
        wire = two._tier._nodes._node.main  # type: ignore[union-attr]
        wire.leave()
        await eventually(lambda: not wire.is_connected)
        clock.advance(10)
        source.rows["a1"] = 2
        assert (await one.clear(older_than=clock.now())).everywhere
        await eventually(lambda: two.peek(answer, "a1") is None)
        assert await two.get(answer, "a1") == Thing("a1", 2)


async def test_a_namespace_is_cleared_with_what_hangs_on_it(worker: Worker, source: Source) -> None:
    cache = worker()
    for entity in (ANSWER, PLAIN):
        await cache.get(entity, "a1")
    await cache.get(SUM, "s")
    source.rows = {"a1": 2, "s": 2}
    cleared = await cache.clear("test:a")
    assert cleared.entities == ("test:answer", "sum:answers")
    assert await cache.get(ANSWER, "a1") == Thing("a1", 2)
    assert await cache.get(PLAIN, "a1") == Thing("a1", 1)
    assert await cache.get(SUM, "s") == Thing("s", 2)
    await cache.clear()
    assert await cache.get(PLAIN, "a1") == Thing("a1", 2)


async def test_a_tag_of_a_kind_that_was_not_declared_is_an_error_that_says_so(clock: FakeClock) -> None:
    async def load(_source: object, key: str) -> Loaded[Thing]:
        return Loaded(value=Thing(key, 1), tags=("owner:x",))

    entity = Entity(name="e", value=Thing, load=load, policy=Policy(fresh=1), tags=("account",))
    with pytest.raises(LoadFailed) as failed:
        await local_cache(Source(), clock, entities=[entity]).get(entity, "a")
    assert "'owner:x'" in str(failed.value.__cause__)
    assert "['account']" in str(failed.value.__cause__)


class Replica:
    """A source that lags: it shows what it had at `position`, unless the loader asks for more."""

    def __init__(self) -> None:
        self.versions = {1: "old", 2: "new"}
        self.position = 1
        self.asked: list[int] = []
        self.heeds = True


async def load_from_replica(source: Replica, key: str) -> Loaded[Thing]:
    required = required_position()
    source.asked.append(required)
    position = max(source.position, required) if source.heeds else source.position
    return Loaded(value=Thing(key, position, source.versions[position]), position=position)


LAGGING = Entity(name="test:lagging", value=Thing, load=load_from_replica, policy=Policy(fresh=300, stale=1000))


@pytest.mark.parametrize("whole_entity", [False, True])
@pytest.mark.parametrize("heeds", [True, False])
async def test_what_a_lagging_source_says_after_an_invalidation_never_counts(
    redis_url: str, clock: FakeClock, *, whole_entity: bool, heeds: bool
) -> None:
    replica = Replica()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(redis_url, connect_timeout=30, socket_timeout=30))
        one, two = (local_cache(replica, clock, entities=[LAGGING], redis=redis) for _ in range(2))
        stack.push_async_callback(one.close)
        stack.push_async_callback(two.close)
        assert (await one.get(LAGGING, "k")) == Thing("k", 1, "old")
        replica.heeds = heeds
        await (one.invalidate(LAGGING, floor=2) if whole_entity else one.invalidate(LAGGING, "k", floor=2))
        if heeds:
            assert await two.get(LAGGING, "k") == Thing("k", 2, "new")
            assert await one.get(LAGGING, "k") == Thing("k", 2, "new")
            assert replica.asked == [0, 2]
        else:
            with pytest.raises(LoadFailed) as failed:
                await two.get(LAGGING, "k")
            assert "required_position()" in str(failed.value.__cause__)
            with pytest.raises(LoadFailed):
                await one.get(LAGGING, "k")
            replica.position = 2
            assert await two.get(LAGGING, "k") == Thing("k", 2, "new")


async def test_where_redis_cannot_say_a_source_must_be_as_far_as_any_change_that_was_heard_of(clock: FakeClock) -> None:
    replica = Replica()
    cache = local_cache(replica, clock, entities=[LAGGING])
    assert await cache.get(LAGGING, "k") == Thing("k", 1, "old")
    await cache.invalidate(LAGGING, "k", floor=2)
    assert await cache.get(LAGGING, "k") == Thing("k", 2, "new")
    replica.heeds = False
    with pytest.raises(LoadFailed):
        await cache.get(LAGGING, "other")


async def test_every_worker_has_heard_of_a_tag_when_it_is_confirmed(
    redis_url: str, source: Source, clock: FakeClock
) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(redis_url, connect_timeout=30, socket_timeout=30))
        workers = []
        for _ in range(3):
            bus = RedisBus(redis, sent_within=30, acknowledged_within=30)
            cache = local_cache(source, clock, entities=ENTITIES, redis=redis, bus=bus)
            stack.push_async_callback(cache.close)
            await cache.start()
            workers.append(cache)
        for version in range(2, 20):
            for cache in workers:
                await cache.get(ANSWER, "a1")
            source.rows["a1"] = version
            assert (await workers[version % 3].invalidate_tag("account:a")).everywhere
            assert [cache.peek(ANSWER, "a1") for cache in workers] == [None] * 3
            assert [await cache.get(ANSWER, "a1") for cache in workers] == [Thing("a1", version)] * 3


async def test_a_value_that_could_not_be_shared_dies_with_its_tag_all_the_same(
    source: Source, clock: FakeClock
) -> None:
    with own_redis() as server:
        async with connect(server.url, connect_timeout=30, socket_timeout=30) as redis:
            soon = Budgets(answer=0.5, large=0.5)
            cache = local_cache(source, clock, entities=ENTITIES, redis=redis, budgets=soon)
            await cache.get(ANSWER, "b1")
            gate = source.gate = asyncio.Event()
            source.loading.clear()
            reading = asyncio.create_task(cache.get(ANSWER, "a1"))
            await until(source.loading)
            server.freeze()
            source.gate = None
            gate.set()
            assert await reading == Thing("a1", 1)
            source.rows["a1"] = 2
            assert not (await cache.invalidate_tag("account:a")).everywhere
            assert await cache.get(ANSWER, "a1") == Thing("a1", 2)
            server.thaw()
            await cache.close()
