import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.cache_world import (
    BATCHED,
    ENTITIES,
    LENIENT,
    STRICT,
    WHOLE,
    Source,
    Thing,
    load_thing,
    local_cache,
    settled,
    until,
)
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import NOT_MODIFIED, Entity, Loaded, NotModified, Policy, known_version
from gatewayz.cache.errors import BadEntity, LoadFailed, LoadLoop, UnknownEntity
from gatewayz.cache.flight import Purpose
from gatewayz.cache.memory import NEVER
from gatewayz.cache.reading import Reading
from gatewayz.cache.scope import Held, Scope


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1}
    return source


@pytest.fixture
async def cache(source: Source, clock: FakeClock) -> AsyncIterator[Cache]:
    cache = local_cache(source, clock)
    yield cache
    await cache.close()


async def test_a_miss_loads_and_the_next_read_does_not(cache: Cache, source: Source) -> None:
    assert cache.peek(STRICT, "a") is None
    assert await cache.get(STRICT, "a") == Thing("a", 1)
    assert await cache.get(STRICT, "a") == Thing("a", 1)
    assert cache.peek(STRICT, "a") is await cache.get(STRICT, "a")
    assert source.loads == ["a"]
    counts = cache.stats().entities["test:strict"].counts
    assert (counts.miss, counts.hit_l1) == (1, 3)


async def test_an_entity_may_have_a_source_of_its_own(source: Source, clock: FakeClock) -> None:
    other = Source()
    other.rows = {"a": 2}
    cache = local_cache(source, clock, own_sources={LENIENT: other})
    assert [await cache.get(entity, "a") for entity in (STRICT, LENIENT)] == [Thing("a", 1), Thing("a", 2)]
    await cache.close()


async def test_an_entity_with_one_value_needs_no_key(cache: Cache) -> None:
    assert await cache.get(WHOLE) == Thing("whole", 1)
    assert cache.peek(WHOLE) == Thing("whole", 1)


async def test_a_remembered_absence_is_known_without_a_question_until_it_ends_or_is_invalidated(
    cache: Cache, clock: FakeClock
) -> None:
    assert not cache.remembers_absence(STRICT, "no")
    assert await cache.get(STRICT, "no") is None
    assert cache.remembers_absence(STRICT, "no")
    await cache.invalidate(STRICT, "no")
    assert not cache.remembers_absence(STRICT, "no")
    assert await cache.get(STRICT, "no") is None
    clock.advance(STRICT.policy.absent * 1.2)
    assert not cache.remembers_absence(STRICT, "no")
    assert await cache.get(STRICT, "a") == Thing("a", 1)
    assert not cache.remembers_absence(STRICT, "a")


async def test_an_absence_is_remembered_for_its_own_time(cache: Cache, source: Source, clock: FakeClock) -> None:
    assert await cache.get(STRICT, "no") is None
    source.rows["no"] = 1
    assert await cache.get(STRICT, "no") is None
    assert cache.peek(STRICT, "no") is None
    clock.advance(11.1)
    assert await cache.get(STRICT, "no") == Thing("no", 1)
    assert cache.stats().entities["test:strict"].counts.negative == 1


async def test_a_value_never_served_stale_is_loaded_anew_once_it_expires(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(STRICT, "a")
    source.rows["a"] = 2
    clock.advance(331)
    assert cache.peek(STRICT, "a") is None
    assert await cache.get(STRICT, "a") == Thing("a", 2)


async def test_many_who_ask_together_share_one_load(cache: Cache, source: Source) -> None:
    values = await asyncio.gather(*(cache.get(STRICT, "a") for _ in range(100)))
    assert values == [Thing("a", 1)] * 100
    assert source.loads == ["a"]
    assert cache.stats().entities["test:strict"].counts.collapsed == 99


async def test_a_cancelled_caller_changes_nothing_for_the_others(cache: Cache, source: Source) -> None:
    source.gate = asyncio.Event()
    callers = [asyncio.create_task(cache.get(STRICT, "a")) for _ in range(3)]
    await until(source.loading)
    callers[0].cancel()
    callers[1].cancel()
    await settled()
    source.gate.set()
    assert await callers[2] == Thing("a", 1)
    assert callers[0].cancelled()
    assert callers[1].cancelled()
    assert source.loads == ["a"]


async def test_a_load_that_nobody_waits_for_any_more_still_fills(cache: Cache, source: Source) -> None:
    source.gate = asyncio.Event()
    caller = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    caller.cancel()
    await settled()
    source.gate.set()
    await settled()
    assert cache.peek(STRICT, "a") == Thing("a", 1)


async def test_each_waiter_of_a_failed_load_gets_an_exception_of_its_own(cache: Cache, source: Source) -> None:
    source.failing = OSError("the database is away")
    errors = await asyncio.gather(*(cache.get(STRICT, "a") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, LoadFailed) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert all(isinstance(error, LoadFailed) and error.__cause__ is source.failing for error in errors)


async def test_a_loader_that_is_cancelled_from_within_is_an_error_and_no_cancellation(
    cache: Cache, source: Source
) -> None:
    source.failing = asyncio.CancelledError()
    with pytest.raises(LoadFailed):
        await cache.get(STRICT, "a")


async def test_a_loader_that_asks_for_its_own_key_gets_a_clear_error(clock: FakeClock) -> None:
    async def load_by_itself(cache: list[Cache], key: str) -> Thing | None:
        return await cache[0].get(MIRROR, key)

    MIRROR = Entity(name="mirror", value=Thing, load=load_by_itself, policy=Policy(fresh=1))  # noqa: N806  an entity
    box: list[Cache] = []
    box.append(local_cache(box, clock, entities=[MIRROR]))
    with pytest.raises(LoadFailed) as caught:
        await box[0].get(MIRROR, "a")
    assert isinstance(caught.value.__cause__, LoadLoop)


async def test_loaders_that_wait_for_each_other_are_detected_however_they_met(clock: FakeClock) -> None:
    met = asyncio.Barrier(2)

    async def load_left(cache: list[Cache], key: str) -> Thing | None:
        await met.wait()
        return await cache[0].get(RIGHT, key)

    async def load_right(cache: list[Cache], key: str) -> Thing | None:
        await met.wait()
        return await cache[0].get(LEFT, key)

    LEFT = Entity(name="left", value=Thing, load=load_left, policy=Policy(fresh=1))  # noqa: N806  an entity
    RIGHT = Entity(name="right", value=Thing, load=load_right, policy=Policy(fresh=1))  # noqa: N806  an entity
    box: list[Cache] = []
    box.append(local_cache(box, clock, entities=[LEFT, RIGHT]))
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(box[0].get(LEFT, "a"), box[0].get(RIGHT, "a"), return_exceptions=True)
    assert all(isinstance(each, LoadFailed) for each in ended)


async def test_a_stale_value_is_served_at_once_and_replaced_behind(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(LENIENT, "a")
    source.rows["a"] = 2
    clock.advance(1000)
    assert cache.peek(LENIENT, "a") is None
    assert [(await cache.get(LENIENT, "a")) for _ in range(3)] == [Thing("a", 1)] * 3
    await settled()
    assert cache.peek(LENIENT, "a") == Thing("a", 2)
    assert source.loads == ["a", "a"]


async def test_a_read_after_refresh_at_replaces_the_value_before_it_expires(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.refresh(LENIENT, "a")
    source.rows["a"] = 2
    clock.advance(100)
    await cache.get(LENIENT, "a")
    await settled()
    assert source.loads == ["a"]
    cache_says = await cache.explain(LENIENT, "a")
    assert cache_says.l1.fresh_for is not None
    clock.advance(cache_says.l1.fresh_for - 20)
    assert cache.peek(LENIENT, "a") == Thing("a", 1)
    assert await cache.get(LENIENT, "a") == Thing("a", 1)
    await settled()
    assert cache.peek(LENIENT, "a") == Thing("a", 2)


async def test_a_failing_loader_is_asked_after_5_s_then_10_while_stale_is_served(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(LENIENT, "a")
    source.failing = OSError("away")
    clock.advance(1000)
    attempts = []
    for _ in range(40):
        assert await cache.get(LENIENT, "a") == Thing("a", 1)
        await settled()
        attempts.append(len(source.loads))
        clock.advance(1)
    assert attempts[0] == 2
    assert attempts[4] == 2
    assert attempts[5] == 3
    assert attempts[14] == 3
    assert attempts[15] == 4
    assert attempts[-1] == 5
    clock.advance(86_400)
    with pytest.raises(LoadFailed):
        await cache.get(LENIENT, "a")


async def test_get_many_loads_only_what_is_missing_in_one_batch(cache: Cache, source: Source) -> None:
    await cache.get(BATCHED, "a")
    source.rows["c"] = 3
    found = await cache.get_many(BATCHED, ["a", "b", "c", "no", "b"])
    assert found == {"a": Thing("a", 1), "b": Thing("b", 1), "c": Thing("c", 3)}
    assert source.loads == ["a", "b+c+no"]
    assert await cache.get_many(BATCHED, ["a", "b", "c", "no"]) == found
    assert len(source.loads) == 2


async def test_get_many_joins_loads_that_are_under_way(cache: Cache, source: Source) -> None:
    source.gate = asyncio.Event()
    first = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    many = asyncio.create_task(cache.get_many(STRICT, ["a", "b"]))
    await settled()
    source.gate.set()
    assert await many == {"a": Thing("a", 1), "b": Thing("b", 1)}
    assert await first == Thing("a", 1)
    assert source.loads == ["a", "b"]


async def test_switched_off_it_always_loads_but_once_for_all_who_ask_together(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, enabled=False)
    await asyncio.gather(*(cache.get(STRICT, "a") for _ in range(5)))
    await cache.get(STRICT, "a")
    assert source.loads == ["a", "a"]
    assert cache.peek(STRICT, "a") is None
    assert (await cache.invalidate(STRICT, "a")).everywhere


async def test_not_modified_keeps_the_value_and_begins_a_new_life(clock: FakeClock) -> None:
    seen: list[str | None] = []

    async def load(_source: object, key: str) -> Loaded[Thing] | NotModified:
        seen.append(known_version())
        return NOT_MODIFIED if seen[-1] == "v1" else Loaded(value=Thing(key, 1), version="v1", tags=("kind:t",))

    versioned = Entity(name="versioned", value=Thing, load=load, policy=Policy(fresh=100, stale=1000), tags=("kind",))
    cache = local_cache(Source(), clock, entities=[versioned])
    await cache.get(versioned, "a")
    clock.advance(200)
    await cache.get(versioned, "a")
    await settled()
    assert seen == [None, "v1"]
    assert cache.peek(versioned, "a") == Thing("a", 1)
    memory = (await cache.explain(versioned, "a")).l1
    assert (memory.state, memory.version, memory.tags, memory.age) == ("fresh", "v1", ("kind:t",), 0)


async def test_a_loader_may_set_the_life_of_one_value(clock: FakeClock) -> None:
    async def load(_source: object, key: str) -> Loaded[Thing]:
        return Loaded(value=Thing(key, 1), ttl=10)

    brief = Entity(name="brief", value=Thing, load=load, policy=Policy(fresh=1000))
    cache = local_cache(Source(), clock, entities=[brief])
    await cache.get(brief, "a")
    clock.advance(8.9)
    assert cache.peek(brief, "a") is not None
    clock.advance(2.2)
    assert cache.peek(brief, "a") is None


async def test_refresh_due_loads_what_is_past_its_refresh_time(cache: Cache, source: Source, clock: FakeClock) -> None:
    await cache.get(LENIENT, "a")
    await cache.get(STRICT, "a")
    assert await cache.refresh_due() == 0
    source.rows["a"] = 2
    clock.advance(895)
    assert await cache.refresh_due() == 1
    assert cache.peek(LENIENT, "a") == Thing("a", 2)


async def test_refresh_replaces_now_and_keeps_the_old_value_when_it_fails(cache: Cache, source: Source) -> None:
    await cache.get(STRICT, "a")
    source.rows["a"] = 2
    assert await cache.refresh(STRICT, "a") == Thing("a", 2)
    source.failing = OSError("away")
    with pytest.raises(LoadFailed):
        await cache.refresh(STRICT, "a")
    assert cache.peek(STRICT, "a") == Thing("a", 2)


async def test_an_entity_that_was_not_given_is_named(cache: Cache) -> None:
    stray = Entity(name="stray", value=Thing, load=load_thing, policy=Policy(fresh=1))
    with pytest.raises(UnknownEntity, match="'stray'"):
        cache.peek(stray, "a")


def test_an_entity_without_a_loader_is_refused(clock: FakeClock) -> None:
    empty: Entity[str, Thing] = Entity(name="empty", value=Thing, policy=Policy(fresh=1))
    with pytest.raises(BadEntity, match="'empty'"):
        local_cache(Source(), clock, entities=[*ENTITIES, empty])


async def test_closing_ends_loads_under_way_with_an_error(cache: Cache, source: Source) -> None:
    source.gate = asyncio.Event()
    caller = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    await cache.close()
    with pytest.raises(LoadFailed):
        await caller


async def test_a_flight_that_is_told_of_no_change_makes_nothing_trusted_again(cache: Cache) -> None:
    """Redis confirmed the value, then told of a change; the flight that nobody joins any more wakes after both."""
    value = await cache.get(LENIENT, "a")
    shelf, reader = cache._shelves[LENIENT], cache._reader
    entry = shelf.entries["a"]
    reading: Reading[Thing] = Reading(
        order=0, generation=b"1", whole=Held(Scope("test:lenient"), 0, b"1"), stamp=entry.stamp, same=True
    )
    flight = reader._flight(shelf, "a", "a", Purpose.READ)
    flight.apart = True
    entry.epoch = NEVER
    answer = reader._at_hand(shelf, flight, reading)
    assert answer is not None
    assert answer.value is value
    assert cache.peek(LENIENT, "a") is None


async def test_what_a_loader_leaves_running_may_read_the_same_key_once_the_load_is_over(clock: FakeClock) -> None:
    may_read = asyncio.Event()
    left: list[asyncio.Task[Thing | None]] = []

    async def read_later() -> Thing | None:
        await may_read.wait()
        return await cache.get(entity, "a")

    async def load(_source: object, key: str) -> Thing:
        if not left:
            left.append(asyncio.create_task(read_later()))
        return Thing(key, 1)

    entity = Entity(name="test:leaving", value=Thing, load=load, policy=Policy(fresh=300))
    cache = local_cache(None, clock, entities=[entity])
    await cache.get(entity, "a")
    await cache.invalidate(entity, "a")
    may_read.set()
    assert await left[0] == Thing("a", 1)
    await cache.close()


async def test_without_a_batch_loader_nobody_waits_for_a_key_that_another_caller_wants(clock: FakeClock) -> None:
    slow = asyncio.Event()

    async def load(_source: object, key: str) -> Thing:
        if key == "slow":
            await slow.wait()
        return Thing(key, 1)

    entity = Entity(name="test:apart", value=Thing, load=load, policy=Policy(fresh=300))
    cache = local_cache(None, clock, entities=[entity])
    both = asyncio.create_task(cache.get_many(entity, ["quick", "slow"]))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        assert await cache.get(entity, "quick") == Thing("quick", 1)
    slow.set()
    assert await both == {"quick": Thing("quick", 1), "slow": Thing("slow", 1)}
    await cache.close()
