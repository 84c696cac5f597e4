"""How one worker's cache takes the news of a commit: first the news itself, then that Redis was told."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack

import msgspec
import pytest
from redis.asyncio import Redis
from tests.support.cache_world import (
    ENTITIES,
    LENIENT,
    STRICT,
    WHOLE,
    Source,
    Thing,
    eventually,
    load_thing,
    local_cache,
    settled,
    until,
)
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.bus import RowsApplied, RowsChanged, RowsMissed
from gatewayz.cache.cache import Cache
from gatewayz.cache.cascade import Target
from gatewayz.cache.entity import Entity, Policy, same_key
from gatewayz.cache.errors import LoadFailed
from gatewayz.cache.tables import Table

pytestmark = pytest.mark.alone

OF_ROWS = Entity(
    name="test:rows", value=Thing, load=load_thing, policy=Policy(fresh=300), filled_from=(Table("things", key="id"),)
)
HANGS_ON_ROWS = Entity(
    name="test:hangs", value=Thing, load=load_thing, policy=Policy(fresh=300), hangs_on=(same_key(OF_ROWS),)
)
ENTITIES_OF_ROWS = (OF_ROWS, HANGS_ON_ROWS)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1}
    return source


class World:
    """Caches on one wire, which stands for the database's notifications."""

    def __init__(self, source: Source, stack: AsyncExitStack, redis: Redis | None) -> None:
        self.wire = Wire()
        self._source = source
        self._stack = stack
        self._redis = redis
        self._speaker = WireBus(self.wire)

    async def worker(self, entities: Sequence[Entity[str, Thing]] = ENTITIES) -> Cache:
        bus = WireBus(self.wire)
        cache = local_cache(self._source, FakeClock(), redis=self._redis, bus=bus, entities=entities)
        self._stack.push_async_callback(cache.close)
        await cache.start()
        return cache

    async def commit(self, xact: str, entity: str, keys: list[str] | None) -> None:
        await self._say(RowsChanged(xact, entity, keys))

    async def applied(self, xacts: Iterable[str]) -> None:
        await self._say(RowsApplied(list(xacts)))

    async def missed(self) -> None:
        await self._say(RowsMissed())

    async def _say(self, message: msgspec.Struct) -> None:
        await self._speaker.publish(msgspec.json.encode(message).decode())


@pytest.fixture
async def alone(source: Source) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(source, stack, None)


@pytest.fixture
async def shared(source: Source, redis: Redis) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(source, stack, redis)


@pytest.fixture
def waits_patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    """For news that Redis was told, which the test gives, however slow the machine is."""
    monkeypatch.setattr("gatewayz.cache.changing.CONFIRMED_WITHIN", PATIENCE)


async def test_a_commit_drops_what_hangs_on_the_row_at_once(alone: World) -> None:
    cache = await alone.worker()
    assert await cache.get(LENIENT, "a") == Thing("a", 1)
    assert await cache.get(LENIENT, "b") == Thing("b", 1)
    assert await cache.get(WHOLE) == Thing("whole", 1)
    await alone.commit("1", "test:lenient", ["a"])
    assert cache.peek(LENIENT, "a") is None
    assert cache.peek(WHOLE) is None
    assert cache.peek(LENIENT, "b") == Thing("b", 1)
    await alone.commit("2", "test:lenient", None)
    assert cache.peek(LENIENT, "b") is None


async def test_a_load_that_a_commit_overtakes_fills_nothing(alone: World, source: Source) -> None:
    cache = await alone.worker()
    source.gate = asyncio.Event()
    reading = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    source.rows["a"] = 2
    await alone.commit("1", "test:strict", ["a"])
    source.gate.set()
    assert await reading == Thing("a", 1)
    assert cache.peek(STRICT, "a") is None
    assert await cache.get(STRICT, "a") == Thing("a", 2)


async def test_after_news_were_missed_nothing_is_served_unchecked(alone: World, source: Source) -> None:
    cache = await alone.worker()
    await cache.get(STRICT, "a")
    source.rows["a"] = 2
    await alone.missed()
    assert cache.peek(STRICT, "a") is None
    assert await cache.get(STRICT, "a") == Thing("a", 2)


async def test_a_load_of_rows_of_which_news_were_missed_fills_nothing(shared: World, source: Source) -> None:
    cache = await shared.worker(ENTITIES_OF_ROWS)
    source.gate = asyncio.Event()
    for entity in ENTITIES_OF_ROWS:
        source.loading.clear()
        reading = asyncio.create_task(cache.get(entity, "a"))
        await until(source.loading)
        source.rows["a"] += 1
        await shared.missed()
        source.gate.set()
        await reading
        assert await cache.get(entity, "a") == Thing("a", source.rows["a"])
        source.gate.clear()


async def test_missed_news_of_rows_cost_no_load_that_no_row_fills(shared: World, source: Source) -> None:
    one, two = await shared.worker(), await shared.worker()
    source.gate = asyncio.Event()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "a"))
    await eventually(lambda: two._reader._waiting)
    await shared.missed()
    source.gate.set()
    assert await first == await second == Thing("a", 1)
    assert source.loads == ["a"]


async def test_a_change_of_an_entity_that_this_build_does_not_know_harms_nothing(alone: World) -> None:
    cache = await alone.worker()
    await cache.get(STRICT, "a")
    await alone.commit("1", "newer:thing", ["a"])
    assert cache.peek(STRICT, "a") == Thing("a", 1)


@pytest.mark.usefixtures("waits_patiently")
async def test_a_read_after_a_commit_waits_for_redis_to_be_told_and_loads_once(shared: World, source: Source) -> None:
    one, two = await shared.worker(), await shared.worker()
    for cache in (one, two):
        await cache.get(STRICT, "a")
    source.rows["a"] = 2
    await shared.commit("1", "test:strict", ["a"])
    reads = [asyncio.create_task(cache.get(STRICT, "a")) for cache in (one, two)]
    await settled()
    assert source.loads == ["a"]
    assert await one.apply({"test:strict": ["a"]})
    await shared.applied(["1"])
    assert [await read for read in reads] == [Thing("a", 2)] * 2
    assert await two.get(STRICT, "a") == Thing("a", 2)
    assert source.loads == ["a", "a"], "whoever waited for the change asks under a lease"
    assert [cache.peek(STRICT, "a") for cache in (one, two)] == [Thing("a", 2)] * 2


@pytest.mark.usefixtures("waits_patiently")
async def test_a_commit_ends_the_wait_for_a_load_that_began_before_it(shared: World, source: Source) -> None:
    one, two = await shared.worker(), await shared.worker()
    older = source.gate = asyncio.Event()
    first = asyncio.create_task(one.get(STRICT, "a"))
    await until(source.loading)
    second = asyncio.create_task(two.get(STRICT, "a"))
    await eventually(lambda: two._reader._waiting)
    source.rows["a"], source.gate = 2, None
    await shared.commit("1", "test:strict", ["a"])
    await settled()
    assert source.loads == ["a"], "Redis was not told yet"
    assert await one.apply({"test:strict": ["a"]})
    await shared.applied(["1"])
    assert await second == Thing("a", 2)
    older.set()
    assert await first == Thing("a", 1)
    assert [await cache.get(STRICT, "a") for cache in (one, two)] == [Thing("a", 2)] * 2
    assert source.loads == ["a", "a"], "the older load gave back no lease but its own, and filled nothing"


@pytest.mark.usefixtures("waits_patiently")
async def test_a_copy_that_another_worker_replaces_while_its_row_changes_is_read_after_redis_was_told(
    shared: World, source: Source
) -> None:
    one, two = await shared.worker(), await shared.worker()
    for cache in (one, two):
        await cache.get(LENIENT, "a")
    older = source.gate = asyncio.Event()
    source.loading.clear()
    refresh = asyncio.create_task(one.refresh(LENIENT, "a"))
    await until(source.loading)
    source.rows["a"], source.gate = 2, None
    older.set()
    await shared.commit("1", "test:lenient", ["a"])
    assert await refresh == Thing("a", 1)
    reads = [asyncio.create_task(cache.get(LENIENT, "a")) for cache in (one, two)]
    await settled()
    assert await one.apply({"test:lenient": ["a"]})
    await shared.applied(["1"])
    assert [await read for read in reads] == [Thing("a", 2)] * 2
    assert [cache.peek(LENIENT, "a") for cache in (one, two)] == [Thing("a", 2)] * 2


@pytest.mark.usefixtures("waits_patiently")
async def test_a_cache_that_is_closed_while_a_read_waits_for_a_change_answers_it(shared: World) -> None:
    cache = await shared.worker()
    await shared.commit("1", "test:strict", ["a"])
    reading = asyncio.create_task(cache.get(STRICT, "a"))
    await settled()
    await cache.close()
    with pytest.raises(LoadFailed):
        await reading


@pytest.mark.usefixtures("waits_patiently")
async def test_another_key_does_not_wait(shared: World) -> None:
    cache = await shared.worker()
    await shared.commit("1", "test:strict", ["a"])
    assert await cache.get(STRICT, "b") == Thing("b", 1)
    assert cache.stats().unsent == 0


async def test_where_nobody_confirms_the_worker_tells_redis_itself_and_reads_around_it(
    shared: World, source: Source
) -> None:
    one, two = await shared.worker(), await shared.worker()
    for cache in (one, two):
        await cache.get(STRICT, "a")
    source.rows["a"] = 2
    await shared.commit("1", "test:strict", ["a"])
    assert [await cache.get(STRICT, "a") for cache in (one, two)] == [Thing("a", 2)] * 2
    assert await one.repair()
    assert await two.repair()
    late = await shared.worker()
    assert await late.get(STRICT, "a") == Thing("a", 2)


async def test_what_redis_was_not_told_keeps_nobody_from_reading_other_things_there(
    shared: World, source: Source
) -> None:
    one, two = await shared.worker(), await shared.worker()
    await one.get(LENIENT, "a")
    source.rows["a"] = 2
    two._trust.unsent.add([Target(STRICT.name, "a")], announce=False, floor=0)
    assert await two.get(LENIENT, "a") == Thing("a", 1)
    assert two.stats().entities[LENIENT.name].counts.hit_l2 == 1
    assert await two.get(STRICT, "a") == Thing("a", 2)
    assert two.stats().entities[STRICT.name].counts.leases_granted == 0


async def test_one_change_after_the_other_does_not_hold_a_read_up_for_long(shared: World, source: Source) -> None:
    cache = await shared.worker()
    await cache.get(STRICT, "a")
    source.rows["a"] = 2
    await shared.commit("0", "test:strict", ["a"])
    reading = asyncio.create_task(cache.get(STRICT, "a"))
    xact = 0
    async with asyncio.timeout(PATIENCE):
        while not reading.done():
            xact += 1
            await shared.commit(str(xact), "test:other", ["a"])
            await shared.commit(str(xact), "test:strict", ["b"])
            await shared.applied([str(xact)])
            await asyncio.sleep(0)
    assert await reading == Thing("a", 2)


@pytest.mark.usefixtures("waits_patiently")
async def test_watchers_are_called_once_redis_was_told(shared: World) -> None:
    one, two = await shared.worker(), await shared.worker()
    seen: list[str] = []
    await settled()
    two.on_invalidated(STRICT, lambda: seen.append("two"))
    await shared.commit("1", "test:strict", ["a"])
    await settled()
    assert seen == []
    assert await one.apply({"test:strict": ["a"]})
    await shared.applied(["1"])
    await settled()
    assert seen == ["two"]
