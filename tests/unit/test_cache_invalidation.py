import asyncio

import pytest
from tests.support.cache_world import (
    ENTITIES,
    LENIENT,
    PRICE,
    STRICT,
    TOTAL,
    WHOLE,
    Source,
    Thing,
    load_thing,
    local_cache,
    settled,
    until,
)
from tests.support.fake_clock import FakeClock
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.cascade import Cascade, Target
from gatewayz.cache.entity import ALL, Entity, Policy
from gatewayz.cache.errors import BadEntity, LoadFailed


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1}
    return source


async def test_after_an_invalidation_the_older_value_is_gone(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(STRICT, "a")
    await cache.get(STRICT, "b")
    source.rows["a"] = 2
    cleared = await cache.invalidate(STRICT, "a")
    assert (cleared.entities, cleared.entries, cleared.everywhere) == (("test:strict", "test:price"), 1, True)
    assert cleared.bytes > 0
    assert await cache.get(STRICT, "a") == Thing("a", 2)
    assert cache.peek(STRICT, "b") is not None


async def test_all_keys_of_an_entity_die_together(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get_many(STRICT, ["a", "b"])
    assert (await cache.invalidate(STRICT)).entries == 2
    assert cache.peek(STRICT, "a") is None
    assert cache.stats().bytes == 0


async def test_a_load_that_an_invalidation_overtakes_never_enters_memory(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    source.gate = asyncio.Event()
    early = asyncio.create_task(cache.get(LENIENT, "a"))
    await until(source.loading)
    source.rows["a"] = 2
    await cache.invalidate(LENIENT, "a")
    late = asyncio.create_task(cache.get(LENIENT, "a"))
    await settled()
    source.gate.set()
    assert await late == Thing("a", 2)
    assert await early == Thing("a", 1)
    assert cache.peek(LENIENT, "a") == Thing("a", 2)


async def test_an_overtaken_load_that_ends_last_does_not_replace_the_newer_value(
    source: Source, clock: FakeClock
) -> None:
    cache = local_cache(source, clock)
    old_gate = source.gate = asyncio.Event()
    early = asyncio.create_task(cache.get(LENIENT, "a"))
    await until(source.loading)
    source.rows["a"] = 2
    source.gate = None
    await cache.invalidate(LENIENT, ALL)
    assert await cache.get(LENIENT, "a") == Thing("a", 2)
    old_gate.set()
    assert await early == Thing("a", 1)
    assert cache.peek(LENIENT, "a") == Thing("a", 2)


async def test_stale_is_not_served_after_an_invalidation_even_if_loading_fails(
    source: Source, clock: FakeClock
) -> None:
    cache = local_cache(source, clock)
    await cache.get(LENIENT, "a")
    await cache.invalidate(LENIENT, "a")
    source.failing = OSError("away")
    with pytest.raises(LoadFailed):
        await cache.get(LENIENT, "a")


async def test_what_hangs_on_something_dies_with_it(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(LENIENT, "a")
    await cache.get(WHOLE)
    await cache.get(TOTAL)
    await cache.get(STRICT, "a")
    cleared = await cache.invalidate(LENIENT, "b")
    assert cleared.entities == ("test:lenient", "test:whole", "test:total")
    assert cache.peek(LENIENT, "a") is not None
    assert cache.peek(WHOLE) is None
    assert cache.peek(TOTAL) is None
    assert cache.peek(STRICT, "a") is not None


async def test_what_hangs_on_the_same_key_dies_alone(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get_many(PRICE, ["a", "b"])
    await cache.invalidate(STRICT, "a")
    assert cache.peek(PRICE, "a") is None
    assert cache.peek(PRICE, "b") is not None


async def test_clear_empties_everything(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(WHOLE)
    await cache.get_many(STRICT, ["a", "b"])
    assert (await cache.clear()).entries == 3
    assert cache.stats().entries == 0


def test_a_cascade_comes_in_waves_so_that_nothing_is_rebuilt_from_the_dying() -> None:
    waves = Cascade(ENTITIES).levels({LENIENT: ["a"]})
    assert waves == [
        [Target("test:lenient", "a")],
        [Target("test:whole", None)],
        [Target("test:total", None)],
    ]


def test_a_dependency_that_the_cache_does_not_know_is_refused() -> None:
    with pytest.raises(BadEntity, match="test:lenient"):
        Cascade([WHOLE])


async def test_a_watcher_is_called_after_the_invalidation(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(WHOLE)
    seen: list[Thing | None] = []
    cache.on_invalidated(WHOLE, lambda: seen.append(cache.peek(WHOLE)))
    await cache.invalidate(LENIENT, "a")
    await settled()
    assert seen == [None]


async def test_an_invalidation_reaches_every_worker(source: Source, clock: FakeClock) -> None:
    wire = Wire()
    one, two = (local_cache(source, clock, bus=WireBus(wire)) for _ in range(2))
    await one.start()
    await two.start()
    await one.get(STRICT, "a")
    await two.get(STRICT, "a")
    source.rows["a"] = 2
    called: list[bool] = []
    two.on_invalidated(STRICT, lambda: called.append(True))
    assert (await one.invalidate(STRICT, "a")).everywhere
    assert await two.get(STRICT, "a") == Thing("a", 2)
    await settled()
    assert called == [True]
    await one.close()
    await two.close()


async def test_before_it_listens_memory_holds_nothing_that_may_not_be_stale(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, bus=WireBus(Wire()))
    await cache.get(STRICT, "a")
    assert cache.peek(STRICT, "a") is None
    await cache.start()
    await cache.get(STRICT, "a")
    assert cache.peek(STRICT, "a") is not None
    await cache.close()


async def test_when_the_bus_is_lost_memory_is_not_trusted(source: Source, clock: FakeClock) -> None:
    bus = WireBus(Wire())
    cache = local_cache(source, clock, bus=bus)
    await cache.start()
    await cache.get(STRICT, "a")
    await cache.get(LENIENT, "a")
    bus.cut()
    source.rows["a"] = 2
    assert cache.peek(STRICT, "a") is None
    assert cache.peek(LENIENT, "a") is None
    assert await cache.get(STRICT, "a") == Thing("a", 2)
    assert await cache.get(LENIENT, "a") == Thing("a", 2)
    source.rows["a"] = 3
    assert await cache.get(STRICT, "a") == Thing("a", 3)
    assert await cache.get(LENIENT, "a") == Thing("a", 2)
    assert cache.stats().trusted is False
    await cache.close()


async def test_while_the_bus_is_lost_and_the_source_too_what_may_be_stale_is_served(
    source: Source, clock: FakeClock
) -> None:
    bus = WireBus(Wire())
    cache = local_cache(source, clock, bus=bus)
    await cache.start()
    await cache.get(STRICT, "a")
    await cache.get(LENIENT, "a")
    bus.cut()
    source.failing = OSError("away")
    loads = len(source.loads)
    assert await cache.get(LENIENT, "a") == Thing("a", 1)
    assert await cache.get(LENIENT, "a") == Thing("a", 1)
    assert len(source.loads) == loads + 1
    with pytest.raises(LoadFailed):
        await cache.get(STRICT, "a")
    await cache.close()


async def test_an_invalidation_that_could_not_be_sent_is_repeated(source: Source, clock: FakeClock) -> None:
    wire = Wire()
    bus, other = WireBus(wire), WireBus(wire)
    one, two = local_cache(source, clock, bus=bus), local_cache(source, clock, bus=other)
    await two.start()
    await two.get(STRICT, "a")
    bus.down = True
    assert not (await one.invalidate(STRICT, "a")).everywhere
    assert not await one.repair()
    bus.down = False
    assert await one.repair()
    assert two.peek(STRICT, "a") is None
    await two.close()


async def test_a_message_that_cannot_be_read_may_have_said_anything(source: Source, clock: FakeClock) -> None:
    bus = WireBus(Wire())
    cache = local_cache(source, clock, bus=bus)
    await cache.start()
    await cache.get(STRICT, "a")
    await bus.publish("{rubbish")
    assert cache.peek(STRICT, "a") is None
    await cache.close()


def test_a_dependency_on_another_entity_of_the_same_name_is_refused() -> None:
    first = Entity(name="first", value=Thing, load=load_thing, policy=Policy(fresh=1))
    twin = Entity(name="first", value=Thing, load=load_thing, policy=Policy(fresh=1), hangs_on=(first,))
    with pytest.raises(BadEntity):
        Cascade([twin])
