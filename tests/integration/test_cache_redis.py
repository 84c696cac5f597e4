import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import (
    BATCHED,
    LENIENT,
    STRICT,
    WHOLE,
    Source,
    Thing,
    eventually,
    local_cache,
    settled,
    until,
)
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE

from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity, Loaded, Policy
from gatewayz.cache.errors import BadKey, LoadFailed, SomeFailed
from gatewayz.cache.quick_read import MOST_TOGETHER

pytestmark = pytest.mark.alone

Worker: TypeAlias = Callable[[], Cache]


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1}
    return source


@pytest.fixture
async def redis(versioned_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(versioned_redis_url) as client:
        yield client


@pytest.fixture
async def worker(redis: Redis, source: Source, clock: FakeClock) -> AsyncIterator[Worker]:
    """Makes caches that share one Redis and nothing else: what one fills, another finds there or not at all."""
    async with AsyncExitStack() as stack:

        def make() -> Cache:
            cache = local_cache(source, clock, redis=redis)
            stack.push_async_callback(cache.close)
            return cache

        yield make


async def test_what_one_worker_loads_another_reads_from_redis(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    assert await one.get(STRICT, "a") == Thing("a", 1)
    assert await two.get(STRICT, "a") == Thing("a", 1)
    assert two.peek(STRICT, "a") == Thing("a", 1)
    assert source.loads == ["a"]
    assert two.stats().entities["test:strict"].counts.hit_l2 == 1


async def test_keys_read_as_documented(worker: Worker, redis: Redis) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    await cache.get(WHOLE)
    keys = {key.decode() for key in await redis.keys("*") if isinstance(key, bytes)}
    assert f"{cache.prefix}test:strict:a" in keys
    assert f"{cache.prefix}test:whole" in keys
    assert cache.prefix.startswith("gw:")


async def test_an_absence_is_shared_too(worker: Worker, source: Source, clock: FakeClock) -> None:
    one, two = worker(), worker()
    assert await one.get(STRICT, "no") is None
    assert await two.get(STRICT, "no") is None
    assert source.loads == ["no"]
    clock.advance(12)
    source.rows["no"] = 1
    assert await two.get(STRICT, "no") == Thing("no", 1)


async def test_every_value_in_redis_ends(worker: Worker, redis: Redis) -> None:
    cache = worker()
    await cache.get(LENIENT, "a")
    left = await redis.ttl(f"{cache.prefix}test:lenient:a")
    assert 86_400 + 800 < left < 86_400 + 1000


async def test_a_large_value_travels_compressed_and_whole(worker: Worker, source: Source, redis: Redis) -> None:
    one, two = worker(), worker()
    source.rows["k" * 3_000_000] = 5
    text = "k" * 3_000_000
    assert await one.get(LENIENT, text) == Thing(text, 5)
    assert await two.get(LENIENT, text) == Thing(text, 5)
    assert len(source.loads) == 1
    assert all(len(key) < 300 for key in await redis.keys("*"))


async def test_after_an_invalidation_redis_serves_no_worker_the_older_value(worker: Worker, source: Source) -> None:
    one = worker()
    await one.get(STRICT, "a")
    await one.get(STRICT, "b")
    source.rows = {"a": 2, "b": 2}
    cleared = await one.invalidate(STRICT, "a")
    assert (cleared.shared, cleared.everywhere) == (1, True)
    assert await worker().get(STRICT, "a") == Thing("a", 2)
    assert await worker().get(STRICT, "b") == Thing("b", 1)
    await one.invalidate(STRICT)
    assert await worker().get(STRICT, "b") == Thing("b", 2)


@pytest.mark.parametrize("whole_entity", [False, True])
async def test_a_load_overtaken_in_another_worker_never_enters_redis(
    worker: Worker, source: Source, *, whole_entity: bool
) -> None:
    slow, quick = worker(), worker()
    gate = source.gate = asyncio.Event()
    early = asyncio.create_task(slow.get(LENIENT, "a"))
    await until(source.loading)
    source.rows["a"] = 2
    source.gate = None
    await (quick.invalidate(LENIENT) if whole_entity else quick.invalidate(LENIENT, "a"))
    gate.set()
    assert await early == Thing("a", 2), "who may have come after the invalidation must not get the older value"
    assert await worker().get(LENIENT, "a") == Thing("a", 2)
    assert slow.stats().entities["test:lenient"].counts.refused_fills == 1


async def test_an_overtaken_load_does_not_replace_what_was_filled_since(worker: Worker, source: Source) -> None:
    slow, quick = worker(), worker()
    gate = source.gate = asyncio.Event()
    early = asyncio.create_task(slow.get(LENIENT, "a"))
    await until(source.loading)
    source.rows["a"] = 2
    source.gate = None
    await quick.invalidate(LENIENT, "a")
    assert await quick.get(LENIENT, "a") == Thing("a", 2)
    gate.set()
    assert await early == Thing("a", 2)
    assert source.loads == ["a", "a"]
    assert await worker().get(LENIENT, "a") == Thing("a", 2)


async def test_a_load_under_way_while_redis_is_flushed_fills_nothing_old(
    worker: Worker, source: Source, redis: Redis
) -> None:
    cache = worker()
    gate = source.gate = asyncio.Event()
    early = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    await redis.flushall()
    source.rows["a"] = 2
    source.gate = None
    gate.set()
    assert await early == Thing("a", 2)
    assert await worker().get(STRICT, "a") == Thing("a", 2)


async def test_a_flushed_redis_is_a_miss(worker: Worker, source: Source, redis: Redis) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    await redis.flushall()
    assert await worker().get(STRICT, "a") == Thing("a", 1)
    assert source.loads == ["a", "a"]
    assert cache.stats().l2_errors == {}


async def test_a_corrupt_value_is_deleted_counted_and_missed(worker: Worker, source: Source, redis: Redis) -> None:
    await worker().get(STRICT, "a")
    key = f"{worker().prefix}test:strict:a"
    await redis.hset(key, "v", b"\xc1rubbish")
    cache = worker()
    source.failing = OSError("away")
    with pytest.raises(LoadFailed):
        await cache.get(STRICT, "a")
    assert cache.stats().l2_errors == {"rubbish": 1}
    assert await redis.hget(key, "v") is None
    source.failing = None
    await cache.get(STRICT, "a")
    assert await worker().get(STRICT, "a") == Thing("a", 1)


@pytest.mark.parametrize("spoilt", ["text", "depth"])
async def test_bytes_that_the_decoder_chokes_on_are_rubbish_and_break_no_connection(
    worker: Worker, source: Source, redis: Redis, spoilt: str
) -> None:
    source.rows["hello"] = 1
    await worker().get(STRICT, "hello")
    key = f"{worker().prefix}test:strict:hello"
    sealed = await redis.hget(key, "v")
    assert isinstance(sealed, bytes)
    nested = b"\x95" + sealed[1:] + b"\x91" * 50_000 + b"\x01"
    await redis.hset(key, "v", sealed.replace(b"hello", b"h\xffllo") if spoilt == "text" else nested)
    cache = worker()
    assert await cache.get(STRICT, "hello") == Thing("hello", 1)
    assert cache.stats().l2_errors == {"rubbish": 1}
    assert await worker().get(STRICT, "hello") == Thing("hello", 1)
    assert source.loads == ["hello", "hello"]


@pytest.mark.parametrize("rubbish", [{"v": b"no stamp"}, {"f": b"no number"}, {"v": b"no stamp", "d": b"no time"}])
async def test_an_entry_with_fields_that_make_no_sense_is_loaded_and_replaced(
    worker: Worker, source: Source, redis: Redis, rubbish: dict[str, bytes]
) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    await cache.invalidate(STRICT, "a")
    await redis.hset(f"{cache.prefix}test:strict:a", mapping=rubbish)  # type: ignore[arg-type]
    source.rows["a"] = 2
    assert await worker().get(STRICT, "a") == Thing("a", 2)
    assert await worker().get(STRICT, "a") == Thing("a", 2)
    assert source.loads == ["a", "a"]


@pytest.mark.parametrize("kind", ["string", "list"])
async def test_a_key_of_another_kind_is_deleted_and_missed(
    worker: Worker, source: Source, redis: Redis, kind: str
) -> None:
    cache = worker()
    key = f"{cache.prefix}test:strict:a"
    await (redis.set(key, "x") if kind == "string" else redis.lpush(key, "x"))
    await redis.lpush(f"{cache.prefix}#scope:test:strict", "x")
    assert await cache.get(STRICT, "a") == Thing("a", 1)
    assert await worker().get(STRICT, "a") == Thing("a", 1)
    assert source.loads == ["a"]
    assert cache.stats().l2_errors == {"wrong_type": 1}
    await redis.delete(key)
    await redis.set(key, "x")
    await cache.invalidate(STRICT, "a")
    assert await cache.get(STRICT, "a") == Thing("a", 1)


async def test_reads_of_one_turn_go_out_together_and_each_has_its_own_answer(
    worker: Worker, source: Source, redis: Redis
) -> None:
    keys = [f"k{n}" for n in range(MOST_TOGETHER + 8)]
    source.rows = dict.fromkeys(keys, 1)
    await worker().get_many(BATCHED, keys)
    cache = worker()
    await cache.get(BATCHED, "k0")  # has connected, and learned of the entity
    await redis.hset(f"{cache.prefix}test:batched:k1", "v", b"rubbish")
    await redis.delete(f"{cache.prefix}test:batched:k2")
    await redis.set(f"{cache.prefix}test:batched:k2", "of another kind")
    source.loads.clear()
    reads = [asyncio.create_task(cache.get(BATCHED, key)) for key in [*keys[1:], "none", "k0"]]
    await asyncio.sleep(0)
    assert cache._tier is not None
    link = cache._tier._nodes.of("k1").main._link
    assert link is not None
    assert [len(each.commands) for each in link._under_way] == [MOST_TOGETHER, 8]
    assert await asyncio.gather(*reads) == [*(Thing(key, 1) for key in keys[1:]), None, Thing("k0", 1)]
    assert sorted(source.loads) == ["k1", "k2", "none"]
    assert cache.stats().l2_errors == {"rubbish": 1, "wrong_type": 1}


async def test_get_many_asks_redis_once_and_loads_only_the_rest(worker: Worker, source: Source) -> None:
    await worker().get(BATCHED, "a")
    cache = worker()
    await cache.get(BATCHED, "b")
    source.rows["c"] = 3
    source.loads.clear()
    found = await cache.get_many(BATCHED, ["a", "b", "c", "no"])
    assert found == {"a": Thing("a", 1), "b": Thing("b", 1), "c": Thing("c", 3)}
    assert source.loads == ["c+no"]
    assert await worker().get_many(BATCHED, ["a", "b", "c", "no"]) == found
    assert source.loads == ["c+no"]


async def test_one_worker_of_the_fleet_refreshes_and_the_others_read_its_result(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    workers = [worker() for _ in range(3)]
    for cache in workers:
        await cache.get(WHOLE)
    source.rows["whole"] = 2
    clock.advance(1000)
    gate = source.gate = asyncio.Event()
    source.loading.clear()
    first = asyncio.create_task(workers[0].refresh_due())
    await until(source.loading)
    assert [await cache.refresh_due() for cache in workers[1:]] == [1, 1]
    assert [await cache.get(WHOLE) for cache in workers] == [Thing("whole", 1)] * 3
    gate.set()
    await first
    await eventually(lambda: [cache.peek(WHOLE) for cache in workers] == [Thing("whole", 2)] * 3)
    assert [await cache.get(WHOLE) for cache in workers] == [Thing("whole", 2)] * 3
    assert source.loads == ["whole", "whole"]


async def test_memory_asks_redis_again_after_l1_max_and_keeps_the_same_object(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    cache = worker()
    value = await cache.get(STRICT, "a")
    clock.advance(61)
    assert cache.peek(STRICT, "a") is None
    assert await cache.get(STRICT, "a") is value
    assert cache.peek(STRICT, "a") is value
    assert source.loads == ["a"]


async def test_what_may_be_stale_is_confirmed_behind_after_l1_max_and_not_loaded(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    cache = worker()
    value = await cache.get(LENIENT, "a")
    for _ in range(5):
        clock.advance(61)
        assert cache.peek(LENIENT, "a") is None
        assert await cache.get(LENIENT, "a") is value
        await eventually(lambda: cache.peek(LENIENT, "a") is value)
    assert source.loads == ["a"]


async def test_memory_that_asks_redis_again_learns_of_an_invalidation_it_never_heard(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    one, two = worker(), worker()
    await one.get(STRICT, "a")
    await two.get(STRICT, "a")
    source.rows["a"] = 2
    await two.invalidate(STRICT)
    clock.advance(61)
    assert await one.get(STRICT, "a") == Thing("a", 2)


async def test_a_value_that_only_redis_takes_for_fresh_is_loaded_under_a_lease(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    """Their clocks differ. Nothing is known of the entity before its first read, which so takes more than one reply."""
    await worker().get(STRICT, "a")
    clock.advance(400)
    one, two = worker(), worker()
    source.gate = asyncio.Event()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await eventually(lambda: len(source.loads) == 2)
    second = asyncio.create_task(two.get(STRICT, "a"))
    await eventually(lambda: two.stats().entities["test:strict"].counts.loads or _waits(two))
    source.gate.set()
    assert [await first, await second] == [Thing("a", 1)] * 2
    assert source.loads == ["a", "a"]


def _waits(cache: Cache) -> bool:
    return bool(cache._reader._waiting)


async def test_a_key_that_cannot_be_written_is_refused_each_time_and_leaves_nothing(worker: Worker) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    for _ in range(2):
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(BadKey, match="surrogate"):
                await cache.get(STRICT, "\ud800")
            with pytest.raises(BadKey, match="surrogate"):
                await cache.get_many(STRICT, ["b", "\ud800"])
            with pytest.raises(BadKey, match="surrogate"):
                await cache.invalidate(STRICT, "\ud800")
    assert await cache.get(STRICT, "b") == Thing("b", 1)


async def test_a_value_that_cannot_be_encoded_fails_alone_and_keeps_no_lease(
    redis: Redis, source: Source, clock: FakeClock
) -> None:
    async def load(source: Source, key: str) -> Loaded[Thing]:
        source.loads.append(key)
        version = "\ud800" if key == "half" else None
        return Loaded(value=Thing(key, 2**70 if key == "big" else 1), version=version)

    entity = Entity(name="test:odd", value=Thing, load=load, policy=Policy(fresh=300))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            cache = local_cache(source, clock, entities=[entity], redis=redis)
            stack.push_async_callback(cache.close)
            with pytest.raises(SomeFailed) as failed:
                await cache.get_many(entity, ["a", "big", "half"])
            assert failed.value.values == {"a": Thing("a", 1)}
            assert "cannot be encoded" in str(failed.value.failures["big"].__cause__)
    assert source.loads == ["a", "big", "half", "big", "half"]


@pytest.mark.parametrize("ttl", [math.inf, 1e20, 0.0, -5.0, math.nan])
async def test_any_time_to_live_that_a_loader_says_gives_an_answer(
    redis: Redis, source: Source, clock: FakeClock, ttl: float
) -> None:
    async def load(_source: Source, key: str) -> Loaded[Thing]:
        return Loaded(value=Thing(key, 1), ttl=ttl)

    entity = Entity(name="test:ttl", value=Thing, load=load, policy=Policy(fresh=300))
    cache = local_cache(source, clock, entities=[entity], redis=redis)
    try:
        if math.isnan(ttl):
            with pytest.raises(LoadFailed) as failed:
                await cache.get(entity, "a")
            assert "no number" in str(failed.value.__cause__)
            return
        assert await cache.get(entity, "a") == Thing("a", 1)
        assert (cache.peek(entity, "a") is None) == (ttl <= 0)
        assert (await redis.pttl(f"{cache.prefix}test:ttl:a") > 10**9) == (ttl > 0)
        assert cache.stats().l2_errors == {}
    finally:
        await cache.close()


async def test_a_lease_by_a_clock_that_was_ahead_holds_nobody_up(worker: Worker, redis: Redis) -> None:
    cache = worker()
    await cache.get(STRICT, "b")
    an_hour_on = int(time.time() * 1000) + 3_600_000
    await redis.hset(f"{cache.prefix}test:strict:a", mapping={"g": "1", "l": "another", "d": str(an_hour_on)})
    async with asyncio.timeout(PATIENCE):
        assert await cache.get(STRICT, "a") == Thing("a", 1)


async def test_a_lease_outlives_the_dead_value_beside_it(worker: Worker, source: Source, redis: Redis) -> None:
    """Else its generation would go with it, and the load would be refused and begun once more."""
    one, two = worker(), worker()
    await one.get(STRICT, "a")
    await one.invalidate(STRICT)
    source.gate = asyncio.Event()
    await redis.pexpire(f"{one.prefix}test:strict:a", 1000)
    first = asyncio.create_task(one.get(STRICT, "a"))
    await eventually(lambda: len(source.loads) == 2)
    left = await redis.pttl(f"{one.prefix}test:strict:a")
    source.gate.set()
    assert [await first, await two.get(STRICT, "a")] == [Thing("a", 1)] * 2
    assert source.loads == ["a", "a"]
    assert left > 10_000


async def test_a_full_redis_still_takes_invalidations(worker: Worker, source: Source, redis: Redis) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    await redis.config_set("maxmemory", 1)
    await redis.config_set("maxmemory-policy", "noeviction")
    try:
        source.rows = {"a": 2, "b": 2}
        assert (await cache.invalidate(STRICT, "a")).everywhere
        assert (await cache.invalidate(STRICT)).everywhere
        assert await cache.get(STRICT, "a") == Thing("a", 2)
        assert await cache.get(STRICT, "b") == Thing("b", 2)
        assert cache.peek(STRICT, "a") == Thing("a", 2)
    finally:
        await redis.config_set("maxmemory", "256mb")
        await redis.config_set("maxmemory-policy", "volatile-lru")
    assert await worker().get(STRICT, "a") == Thing("a", 2)


async def test_a_cancelled_caller_leaves_no_reply_to_the_next_one(worker: Worker, source: Source) -> None:
    cache = worker()
    source.rows |= {f"k{n}": n for n in range(50)}
    for n in range(50):
        task = asyncio.create_task(cache.get(STRICT, f"k{n}"))
        await settled(n % 5)
        task.cancel()
    for n in range(50):
        assert await cache.get(STRICT, f"k{n}") == Thing(f"k{n}", n)
