"""The worker's memory as a cache's readers see it: bounds, floods, and what its entries weigh."""

import gc
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import pytest
from msgspec import Struct
from tests.support.cache_world import LENIENT, STRICT, WHOLE, Source, Thing, load_thing, local_cache, settled
from tests.support.fake_clock import FakeClock
from tests.support.l1_check import checked_memory

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.weight import ALWAYS_WEIGHED_FROM, ENTRY_BYTES, Scale, weigh

MIB = 1024 * 1024


async def load_text(source: Source, key: str) -> str | None:
    """As many bytes as its row says."""
    size = source.rows.get(key)
    return None if size is None else "x" * size


TEXT = Entity(name="test:text", value=str, load=load_text, policy=Policy(fresh=300))


@pytest.fixture
def source() -> Source:
    return Source()


async def test_memory_is_bounded_by_count_and_keeps_what_is_read(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, max_entries=3)
    source.rows = dict.fromkeys(["whole", "a", "b", "c", "d"], 1)
    await cache.get(WHOLE)
    for key in "abc":
        await cache.get(STRICT, key)
    cache.peek(STRICT, "a")
    await cache.get(STRICT, "a")
    await cache.get(LENIENT, "d")
    checked_memory(cache)
    assert cache.peek(STRICT, "b") is None
    assert cache.peek(STRICT, "a") is not None
    assert cache.peek(LENIENT, "d") is not None
    assert cache.peek(WHOLE) is not None
    assert cache.stats().entities["test:strict"].counts.evictions == 1


async def test_memory_is_bounded_by_bytes_over_all_entities(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, max_bytes=20_000)
    source.rows = {f"key-{n}": n for n in range(40)}
    for key in source.rows:
        await cache.get(STRICT, key)
        await cache.get(LENIENT, key)
        checked_memory(cache)
    assert 10_000 < cache.stats().bytes <= 20_000


async def test_invalidations_and_refreshes_leave_memory_in_order(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, max_entries=8)
    source.rows = {f"key-{n}": n for n in range(12)}
    for key in source.rows:
        await cache.get(STRICT, key)
        await cache.get(LENIENT, key)
    await cache.refresh(LENIENT, "key-11")
    checked_memory(cache)
    await cache.invalidate(LENIENT, "key-11")
    checked_memory(cache)
    await cache.invalidate(STRICT)
    checked_memory(cache)
    await cache.clear()
    checked_memory(cache)
    assert cache.stats().entries == 0


async def test_a_value_too_large_is_served_but_not_kept(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, entities=[TEXT], max_bytes=100_000)
    source.rows = {"a": 20_000}
    assert await cache.get(TEXT, "a") == "x" * 20_000
    assert cache.peek(TEXT, "a") is None
    assert cache.stats().entities["test:text"].counts.oversized == 1


async def test_a_value_that_grew_too_large_is_not_served_in_its_former_size(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, entities=[TEXT], max_bytes=100_000)
    source.rows = {"a": 10}
    await cache.get(TEXT, "a")
    source.rows = {"a": 20_000}
    await cache.refresh(TEXT, "a")
    assert cache.peek(TEXT, "a") is None
    checked_memory(cache)
    assert await cache.get(TEXT, "a") == "x" * 20_000


async def test_what_is_large_by_declaration_is_kept_beside_the_bounds(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, max_entries=0, max_bytes=0)
    source.rows = {"whole": 1, "a": 1}
    await cache.get(WHOLE)
    await cache.get(STRICT, "a")
    await cache.refresh(WHOLE)
    checked_memory(cache)
    assert cache.peek(WHOLE) is not None
    assert cache.peek(STRICT, "a") is None


async def test_every_read_that_memory_answers_counts_as_a_hit(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    source.rows = {"a": 1}
    await cache.get(LENIENT, "a")
    entry = cache._shelves[LENIENT].entries["a"]
    seen = [entry.hits]
    cache.peek(LENIENT, "a")
    seen.append(entry.hits)
    await cache.get(LENIENT, "a")
    seen.append(entry.hits)
    clock.advance(1200)
    await cache.get(LENIENT, "a")  # stale, and refreshed behind
    seen.append(entry.hits)
    assert seen == [0, 1, 2, 3]
    await settled()
    renewed = cache._shelves[LENIENT].entries["a"]
    assert renewed is not entry
    cache.peek(LENIENT, "a")
    assert renewed.hits == 3


async def find_nothing(_source: object, keys: object) -> dict[str, Thing]:
    return {key: Thing(key, 1) for key in keys if key.startswith("hot")} if isinstance(keys, list) else {}


async def test_a_flood_of_unknown_keys_leaves_hot_values_alone(source: Source, clock: FakeClock) -> None:
    entity = Entity(
        name="test:flooded", value=Thing, load=load_thing, load_many=find_nothing, policy=Policy(fresh=300, absent=30)
    )
    cache = local_cache(source, clock, entities=[entity], max_entries=1000)
    hot = [f"hot {n}" for n in range(800)]
    await cache.get_many(entity, hot)
    for key in hot * 2:
        assert cache.peek(entity, key) is not None
    for first in range(0, 100_000, 500):
        await cache.get_many(entity, [f"unknown {n}" for n in range(first, first + 500)])
    checked_memory(cache)
    assert all(cache.peek(entity, key) is not None for key in hot)


async def test_keys_that_are_no_text_are_read_by_their_text(source: Source, clock: FakeClock) -> None:
    source.rows = {"7": 1}
    numbered = Entity(name="test:numbered", value=Thing, load=load_numbered, policy=Policy(fresh=300))
    shouted = Entity(name="test:shouted", value=Thing, load=load_thing, policy=Policy(fresh=300), key_text=str.lower)
    cache = local_cache(source, clock, entities=[numbered, shouted])
    source.rows["A"] = 2
    await cache.get(numbered, 7)
    await cache.get(shouted, "A")
    assert cache.peek(numbered, 7) == Thing("7", 1)
    assert cache.peek(shouted, "a") == Thing("A", 2)


async def load_numbered(source: Source, key: int) -> Thing | None:
    return await source.read(str(key))


class Colour(Enum):
    RED = "red"


class Mixed(Struct, frozen=True, gc=False):
    name: str
    price: Decimal
    at: datetime
    colour: Colour
    parts: tuple[str, ...]
    by_name: tuple[tuple[str, float], ...]


def mixed(n: int) -> Mixed:
    parts = tuple(f"part {n} {i}" for i in range(n % 70))
    by_name = tuple((f"{n}-{i}", n / (i + 1)) for i in range(n % 40))
    return Mixed(f"name {n}", Decimal(n) / 7, datetime.fromtimestamp(n, UTC), Colour.RED, parts, by_name)


def test_a_value_weighs_at_least_what_was_allocated_for_it_and_not_much_more() -> None:
    gc.collect()
    tracemalloc.start()
    values = [mixed(n) for n in range(2000)]
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert allocated <= sum(map(weigh, values)) <= 1.3 * allocated


def test_what_every_value_shares_weighs_nothing() -> None:
    assert [weigh(each) for each in (None, True, Colour.RED, Mixed)] == [0, 0, 0, 0]


def test_the_weight_of_values_that_are_not_weighed_follows_those_that_are() -> None:
    scale = Scale()
    for n in range(1000):
        scale.weight("", "x" * (n % 1000), encoded=n % 1000)
    assert 0.8 * 1500 < scale.weight("", "x" * 600, encoded=600) < 1.3 * 1500


def test_a_large_value_is_weighed_itself() -> None:
    scale = Scale()
    for _ in range(1000):
        scale.weight("", "x" * 100, encoded=100)
    numbers = list(range(1000, 21_000))
    assert scale.weight("", numbers, encoded=ALWAYS_WEIGHED_FROM) > 20_000 * 36


def test_an_absence_weighs_its_entry_and_key() -> None:
    assert Scale().weight("x" * 200, None, encoded=0) == (ENTRY_BYTES + 200) * 9 // 8


async def test_the_bytes_that_the_cache_says_are_at_least_those_allocated(source: Source, clock: FakeClock) -> None:
    entity = Entity(
        name="test:mixed", value=Mixed, load=load_mixed, load_many=load_mixed_many, policy=Policy(fresh=300)
    )
    cache: Cache = local_cache(source, clock, entities=[entity], max_bytes=2 * MIB)
    await cache.get_many(entity, ["1"])
    gc.collect()
    tracemalloc.start()
    for first in range(0, 3000, 50):
        await cache.get_many(entity, [str(n) for n in range(first, first + 50)])
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    checked_memory(cache)
    assert allocated <= cache.stats().bytes <= 2 * allocated


async def load_mixed(_source: object, key: str) -> Mixed:
    return mixed(int(key))


async def load_mixed_many(_source: object, keys: object) -> dict[str, Mixed]:
    return {key: mixed(int(key)) for key in keys} if isinstance(keys, list) else {}
