"""Values that no loader brings: found, never loaded, and put into the tiers behind a fence. Without Redis."""

import asyncio
import random

import pytest
from tests.support.cache_world import local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.given_world import GIVEN, Bringing, give, given, version_in

from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import CacheError, LoadFailed, SomeFailed
from gatewayz.cache.flight import Served


@pytest.fixture
def cache(clock: FakeClock) -> Cache:
    return local_cache(object(), clock, entities=(GIVEN,), rng=random.Random(7))


async def test_what_nobody_gave_is_not_found_and_nothing_is_loaded(cache: Cache) -> None:
    assert await cache.find(GIVEN, "a") is None
    counts = cache.stats().entities["test:given"].counts
    assert (counts.miss, counts.loads) == (1, 0)


async def test_what_was_given_is_found_and_peeked_at(cache: Cache) -> None:
    assert await give(cache, 1)
    found = await cache.find(GIVEN, "a")
    assert found is not None
    assert (found.value.version, found.served) == (1, Served.HIT_L1)
    assert cache.peek(GIVEN, "a") == found.value


async def test_a_value_that_is_no_longer_fresh_is_found_as_stale_until_it_is_expired(
    cache: Cache, clock: FakeClock
) -> None:
    assert await give(cache, 1, ttl=100)
    clock.advance(120)
    found = await cache.find(GIVEN, "a")
    assert found is not None
    assert found.served is Served.STALE
    assert cache.peek(GIVEN, "a") is None
    clock.advance(700)
    assert await cache.find(GIVEN, "a") is None


@pytest.mark.parametrize("kill", ["key", "all", "tag", "clear", "age"])
async def test_what_was_invalidated_since_it_began_is_not_put_anywhere(
    cache: Cache, clock: FakeClock, kill: str
) -> None:
    async with cache.keeping(GIVEN, "a") as keep:
        clock.advance(1)
        if kill == "key":
            await cache.invalidate(GIVEN, "a")
        elif kill == "all":
            await cache.invalidate(GIVEN)
        elif kill == "tag":
            await cache.invalidate_tag("account:1")
        else:
            await cache.clear("test:", older_than=clock.now() if kill == "age" else None)
        await keep(given(1, "account:1"))
    assert await version_in(cache) is None
    assert await give(cache, 2, "account:1")
    assert await version_in(cache) == 2


async def test_an_invalidation_of_another_key_or_tag_does_no_harm(cache: Cache) -> None:
    async with cache.keeping(GIVEN, "a") as keep:
        await cache.invalidate(GIVEN, "b")
        assert await keep(given(1, "account:1"))
    await cache.invalidate_tag("account:2")
    assert await version_in(cache) == 1
    await cache.invalidate_tag("account:1")
    assert await version_in(cache) is None


async def test_of_two_that_came_up_together_the_later_fill_stays(cache: Cache) -> None:
    async with cache.keeping(GIVEN, "a") as one, cache.keeping(GIVEN, "a") as other:
        assert await one(given(1))
        assert await other(given(2))
    assert await version_in(cache) == 2


async def test_who_is_cancelled_or_fails_leaves_no_fence_behind(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError):
        async with cache.keeping(GIVEN, "a"):
            raise ZeroDivisionError

    async def wait_for_it() -> None:
        async with cache.keeping(GIVEN, "a"):
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(wait_for_it())
    await until(entered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not cache._shelves[GIVEN].kept_apart


async def test_a_tag_that_is_not_declared_is_refused(cache: Cache) -> None:
    with pytest.raises(CacheError, match="must be of"):
        await give(cache, 1, "planet:mars")


async def test_what_nobody_can_load_cannot_be_got(cache: Cache) -> None:
    with pytest.raises(LoadFailed):
        await cache.get(GIVEN, "a")


async def test_a_cache_that_is_off_finds_and_keeps_nothing(clock: FakeClock) -> None:
    cache = local_cache(object(), clock, entities=(GIVEN,), enabled=False)
    assert not await give(cache, 1)
    assert await version_in(cache) is None


async def test_the_sampler_does_not_ask_a_source_that_is_none(clock: FakeClock) -> None:
    cache = local_cache(object(), clock, entities=(GIVEN,), sampler_rate=100)
    assert await give(cache, 1)
    await cache.invalidate(GIVEN, "b")
    clock.advance(2)
    assert await cache.sample() == 1
    stats = cache.stats().samples
    assert stats is not None
    assert stats.entities["test:given"].failed == 0
    assert await version_in(cache) == 1


async def test_who_asks_for_many_brings_what_loads_those_that_nobody_has(cache: Cache) -> None:
    await give(cache, 1)
    bringing = Bringing(2)
    many = await cache.get_many(GIVEN, ["c", "a", "b", "c"], bringing.load)
    assert {key: thing.version for key, thing in many.items()} == {"a": 1, "b": 2, "c": 2}
    assert bringing.asked == [["c", "b"]]
    found = await cache.find_many(GIVEN, ["a", "b", "x"])
    assert {key: each.value.version for key, each in found.items()} == {"a": 1, "b": 2}


async def test_a_lone_key_too_is_loaded_by_what_is_brought(cache: Cache) -> None:
    bringing = Bringing()
    assert (await cache.get_many(GIVEN, ["a"], bringing.load))["a"].version == 1
    assert bringing.asked == [["a"]]


async def test_those_who_ask_together_share_the_loads_of_who_came_first(cache: Cache) -> None:
    one, two = Bringing(1), Bringing(2)
    one.gate = asyncio.Event()
    first = asyncio.create_task(cache.get_many(GIVEN, ["a", "b"], one.load))
    await until(one.loading)
    assert await cache.find_many(GIVEN, ["a", "b"]) == {}, "what is loaded is not looked for"
    second = asyncio.create_task(cache.get_many(GIVEN, ["b", "c"], two.load))
    await until(two.loading)
    first.cancel()
    one.gate.set()
    assert {key: thing.version for key, thing in (await second).items()} == {"b": 1, "c": 2}
    assert (one.asked, two.asked) == ([["a", "b"]], [["c"]])
    assert await version_in(cache) == 1, "who has left changes nothing"


async def test_one_that_fails_does_so_alone_and_is_not_kept(cache: Cache) -> None:
    bringing = Bringing()
    bringing.failing = {"b": ZeroDivisionError()}
    with pytest.raises(SomeFailed) as failed:
        await cache.get_many(GIVEN, ["a", "b"], bringing.load)
    assert (set(failed.value.values), set(failed.value.failures)) == ({"a"}, {"b"})
    assert set(await cache.find_many(GIVEN, ["a", "b"])) == {"a"}


async def test_anew_is_loaded_whatever_there_is_and_whoever_is_about_it(cache: Cache) -> None:
    await give(cache, 1)
    slow, bringing = Bringing(2), Bringing(3)
    slow.gate = asyncio.Event()
    waiting = asyncio.create_task(cache.get_many(GIVEN, ["b"], slow.load))
    await until(slow.loading)
    many = await cache.get_many(GIVEN, ["a", "b"], bringing.load, anew=True)
    assert {thing.version for thing in many.values()} == {3}
    slow.gate.set()
    await waiting
    assert {each.value.version for each in (await cache.find_many(GIVEN, ["a", "b"])).values()} == {3}
    bringing.failing = {"a": ZeroDivisionError()}
    with pytest.raises(SomeFailed):
        await cache.get_many(GIVEN, ["a"], bringing.load, anew=True)


async def test_what_was_invalidated_while_it_was_loaded_is_asked_for_again(cache: Cache) -> None:
    bringing = Bringing(1, "account:1")
    bringing.gate = asyncio.Event()
    asking = asyncio.create_task(cache.get_many(GIVEN, ["a", "b"], bringing.load))
    await until(bringing.loading)
    await cache.invalidate_tag("account:1")
    bringing.version = 2
    bringing.gate.set()
    assert {thing.version for thing in (await asking).values()} == {2}


async def test_nothing_that_is_brought_is_refreshed_ahead(cache: Cache, clock: FakeClock) -> None:
    bringing = Bringing()
    await cache.get_many(GIVEN, ["a"], bringing.load)
    clock.advance(260)
    assert await cache.get_many(GIVEN, ["a"], bringing.load)
    assert cache.stats().entities["test:given"].counts.refreshes == 0
    assert bringing.asked == [["a"]]
