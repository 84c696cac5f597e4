"""What Redis says of a key, and why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import ENTITIES, LENIENT, STRICT, WHOLE, Source, Thing, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.scripted_redis import scripted_redis

from gatewayz.accounts.repository import PROVIDER_KEYS
from gatewayz.cache.budgets import Budgets
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity, Loaded, Policy
from gatewayz.responses.repository import CHAT

pytestmark = pytest.mark.alone

Worker: TypeAlias = Callable[[], Cache]


async def load_tagged(_source: Source, key: str) -> Loaded[Thing]:
    return Loaded(value=Thing(key, 1), tags=("kind:t",))


TAGGED = Entity(name="test:tagged", value=Thing, load=load_tagged, policy=Policy(fresh=300), tags=("kind",))

SECRET = Entity(
    name="test:secret", value=Thing, load=load_tagged, policy=Policy(fresh=300), tags=("kind",), is_secret=True
)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "whole": 1}
    return source


@pytest.fixture
async def worker(redis: Redis, source: Source, clock: FakeClock) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:

        def make() -> Cache:
            cache = local_cache(source, clock, entities=[*ENTITIES, TAGGED, SECRET], redis=redis)
            stack.push_async_callback(cache.close)
            return cache

        yield make


async def test_each_tier_says_what_it_holds(worker: Worker, clock: FakeClock) -> None:
    one, two = worker(), worker()
    await one.get(LENIENT, "a")
    clock.advance(2)
    here, there = await one.explain(LENIENT, "a"), await two.explain(LENIENT, "a")
    assert (here.l1.state, here.l2.state, here.l2.age, here.l2.is_hit) == ("fresh", "fresh", 2, True)
    assert (there.l1.state, there.l2.state, there.l2.age) == ("none", "fresh", 2)
    assert here.generations == there.generations
    assert here.generations is not None
    assert here.generations.key is not None
    assert here.generations.entity is not None


async def test_asking_changes_nothing_in_redis(worker: Worker, redis: Redis, source: Source) -> None:
    cache = worker()
    await cache.explain(STRICT, "a")
    assert await redis.dbsize() == 0
    await cache.get(STRICT, "a")
    key = f"{cache.prefix}test:strict:a"
    before = await redis.hgetall(key)
    await cache.explain(STRICT, "a")
    assert await redis.hgetall(key) == before
    assert source.loads == ["a"]


async def test_who_asks_is_not_told_of_changes(worker: Worker, redis: Redis, source: Source) -> None:
    source.rows["b"] = 1
    one, two = worker(), worker()
    await one.get(STRICT, "a")
    await two.get(STRICT, "b")
    assert two._tier is not None
    before = two._tier.order
    await two.explain(STRICT, "a")
    await redis.delete(f"{two.prefix}test:strict:a")
    await two.refresh(STRICT, "b")  # a change would be told before this reply
    assert two._tier.order == before


async def test_an_invalidated_key_and_an_invalidated_entity_are_told_apart(worker: Worker) -> None:
    cache = worker()
    await cache.get(LENIENT, "a")
    await cache.invalidate(LENIENT, "a")
    told = (await cache.explain(LENIENT, "a")).l2
    assert (told.state, told.is_hit) == ("none", False)
    assert told.why.startswith("no value: the key was invalidated, or first asked for, 0.")
    await cache.get(LENIENT, "a")
    await cache.invalidate(LENIENT)
    told = (await cache.explain(LENIENT, "a")).l2
    assert told.why.startswith("dead: the whole entity was invalidated ")


async def test_what_else_kills_a_value_is_named(worker: Worker, clock: FakeClock) -> None:
    cache = worker()
    await cache.get(TAGGED, "a")
    assert (await cache.explain(TAGGED, "a")).l2.state == "fresh"
    await cache.invalidate_tag("kind:t", floor=7)
    told = await cache.explain(TAGGED, "a")
    assert (told.l1.state, told.l1.is_hit) == ("untrusted", False)
    assert told.l1.why.startswith("its tag 'kind:t' was invalidated")
    assert (told.l2.state, told.l2.why) == (
        "none",
        "dead: its tag 'kind:t' was invalidated after this value was loaded",
    )
    assert told.last_invalidation is None  # nobody invalidated the key, nor the entity
    await cache.get(TAGGED, "a")
    await cache.clear("test:tagged", older_than=clock.now() + 1)
    assert "loaded before a certain time was cleared" in (await cache.explain(TAGGED, "a")).l2.why


async def test_a_floor_is_told(worker: Worker) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    assert (await cache.explain(STRICT, "a")).floor is None
    await cache.invalidate(STRICT, "a", floor=7)
    assert (await cache.explain(STRICT, "a")).floor == 7
    await cache.invalidate(STRICT, floor=9)
    assert (await cache.explain(STRICT, "a")).floor == 9


async def test_what_was_never_filled_or_was_lost_is_said_to_be(worker: Worker, redis: Redis) -> None:
    cache = worker()
    assert "never filled, expired, or evicted" in (await cache.explain(STRICT, "a")).l2.why
    await cache.get(STRICT, "a")
    await redis.delete(f"{cache.prefix}#scope:test:strict")
    assert "Redis has lost the entity's generation" in (await cache.explain(STRICT, "a")).l2.why


async def test_a_lease_is_told_by_its_time_never_by_its_token(worker: Worker, redis: Redis, source: Source) -> None:
    source.gate = asyncio.Event()
    one, two = worker(), worker()
    loading = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    told = await two.explain(STRICT, "a")
    assert told.lease is not None
    assert (told.lease.to, 0 < told.lease.seconds <= 5) == ("load", True)
    assert "a worker may load it for" in told.l2.why
    token = await redis.hget(f"{two.prefix}test:strict:a", "l")
    assert token is not None
    assert repr(token)[2:-1] not in repr(told)
    source.gate.set()
    await loading
    assert (await two.explain(STRICT, "a")).lease is None


async def test_a_large_value_and_rubbish_are_explained_too(worker: Worker, redis: Redis) -> None:
    gone, cache = worker(), worker()
    await gone.get(WHOLE)
    await gone.close()
    assert (await cache.explain(WHOLE, ())).l2.state == "fresh"
    key = f"{cache.prefix}test:whole"
    await redis.hset(key, "v", b"rubbish")
    assert "is no value of the cache" in (await cache.explain(WHOLE, ())).l2.why
    await redis.delete(key)
    await redis.set(key, "somebody's")
    assert "is no value of the cache" in (await cache.explain(WHOLE, ())).l2.why


async def test_memory_that_must_ask_redis_again_says_so(worker: Worker, clock: FakeClock) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    clock.advance(61)
    told = (await cache.explain(STRICT, "a")).l1
    assert (told.state, told.is_hit) == ("fresh", False)
    assert "a read asks Redis first" in told.why


async def test_a_redis_that_does_not_answer_is_unavailable_and_then_left_alone(
    source: Source, clock: FakeClock
) -> None:  # fmt: skip
    async with scripted_redis() as server, connect(f"unix://{server.socket}") as client:
        cache = local_cache(source, clock, redis=client, budgets=Budgets())
        told = (await cache.explain(STRICT, "a")).l2
        assert (told.state, told.why) == ("unavailable", "Redis did not answer in time")
        told = (await cache.explain(STRICT, "a")).l2
        assert told.state == "unavailable"
        assert "breaker is open" in told.why
        await cache.close()


async def test_a_value_is_shown_from_the_tier_that_would_serve_it(
    worker: Worker, source: Source, clock: FakeClock
) -> None:
    one, other = worker(), worker()
    await one.get(STRICT, "a")
    clock.advance(4)
    here, there = await one.show_text(STRICT.name, "a"), await other.show_text(STRICT.name, "a")
    assert (here.tier, there.tier) == ("l1", "l2")
    for each in (here, there):
        assert (each.value, each.state, each.age, each.is_masked) == (Thing("a", 1), "fresh", 4, False)
    assert source.loads == ["a"]
    assert other.stats().entries == 0


async def test_nothing_is_shown_of_what_would_not_be_served(worker: Worker) -> None:
    cache = worker()
    await cache.get(STRICT, "a")
    await cache.invalidate(STRICT, "a")
    shown = await cache.show_text(STRICT.name, "a")
    assert (shown.tier, shown.value) == (None, None)
    assert "invalidated" in shown.why


async def test_a_secret_is_masked_in_every_tier(worker: Worker) -> None:
    one, other = worker(), worker()
    await one.get(SECRET, "a")
    for shown in (await one.show_text(SECRET.name, "a"), await other.show_text(SECRET.name, "a")):
        assert (shown.is_masked, shown.value, shown.tags, shown.state) == (True, None, ("kind:t",), "fresh")


def test_sealed_keys_and_what_customers_said_are_secret() -> None:
    assert CHAT.is_secret
    assert PROVIDER_KEYS.is_secret


async def test_rubbish_is_not_shown(worker: Worker, redis: Redis) -> None:
    one, other = worker(), worker()
    await one.get(STRICT, "a")
    (key,) = [each async for each in redis.scan_iter(f"{one.prefix}test:strict:a")]
    await redis.set(key, b"rubbish")
    assert (await other.show_text(STRICT.name, "a")).tier is None


async def test_stale_values_and_absences_of_redis_count_as_its_own_with_their_ages(
    worker: Worker, clock: FakeClock
) -> None:
    one, other = worker(), worker()
    await one.get(LENIENT, "a")
    await one.get(STRICT, "nobody")
    clock.advance(5)
    assert await other.get(STRICT, "nobody") is None
    clock.advance(1000)
    assert await other.get(LENIENT, "a") == Thing("a", 1)
    stats = other.stats().entities
    assert (stats[STRICT.name].counts.negative_l2, stats[STRICT.name].counts.negative) == (1, 0)
    assert (stats[LENIENT.name].counts.stale_l2, stats[LENIENT.name].counts.stale) == (1, 0)
    ages = stats[LENIENT.name].l2_ages
    assert ages.count == 1
    assert ages.total == pytest.approx(1005)
    assert stats[STRICT.name].l2_ages.count == 0, "an absence has no age"
