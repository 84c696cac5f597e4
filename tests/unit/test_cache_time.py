"""When values are renewed, how long loads may take, and what becomes of those that fail alone."""

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from statistics import mean

import pytest
from tests.support.cache_world import STRICT, Source, Thing, local_cache, settled
from tests.support.fake_clock import FakeClock

from gatewayz.cache.codec import Life
from gatewayz.cache.entity import ALL, Entity, Loaded, Policy
from gatewayz.cache.errors import LoadFailed, SomeFailed
from gatewayz.cache.landing import BETA, Landing
from gatewayz.cache.memory import Entry, Memory, Shelves, Trust
from gatewayz.cache.scope import Scopes


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1}
    return source


async def test_a_read_after_four_fifths_of_its_time_renews_a_value_behind(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(STRICT, "a")
    clock.advance(300 * 0.8 * 0.9 - 1)
    await cache.get(STRICT, "a")
    await settled()
    assert source.loads == ["a"]
    source.rows["a"] = 2
    clock.advance(300 * 0.8 * 0.2 + 2)
    assert await cache.get(STRICT, "a") == Thing("a", 1)
    await settled()
    assert cache.peek(STRICT, "a") == Thing("a", 2)


async def test_what_nobody_reads_is_not_renewed_unless_it_says_so(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(STRICT, "a")
    clock.advance(265)
    assert await cache.refresh_due() == 0


def test_a_value_that_is_costly_to_load_is_renewed_earlier_by_chance(clock: FakeClock) -> None:
    """By a span with the mean of β times the cost, as exponential as the source of the rule has it."""
    trust = Trust(live=True)
    shelves = Shelves([STRICT], {})
    scopes = Scopes(shelves.named)
    memory = Memory(shelves, scopes, trust, max_entries=10, max_bytes=10**6)
    landing = Landing(memory, trust, clock, random.Random(1), is_checked=True, enabled=True)

    def ahead(cost: float) -> float:
        now = clock.now()
        life = Life(now, now + 100, now + 100, now + 100, cost=cost)
        entry = Entry("a", Thing("a", 1), life, stamp=b"", size=1, epoch=0)
        landing.lay_out(shelves[STRICT], entry)
        return entry.fresh_until - entry.refresh_at

    assert ahead(0) == 0
    drawn = [ahead(0.5) for _ in range(4000)]
    assert min(drawn) >= 0
    assert mean(drawn) == pytest.approx(BETA * 0.5, rel=0.1)
    assert sum(each > 2 * BETA * 0.5 for each in drawn) / len(drawn) == pytest.approx(math.exp(-2), rel=0.2)


async def test_an_absence_is_not_renewed_ahead_however_costly_it_was(clock: FakeClock) -> None:
    async def load(source: Source, key: str) -> Thing | None:
        clock.advance(20_000)
        return await source.read(key)

    source = Source()
    entity = Entity(name="test:costly", value=Thing, load=load, policy=Policy(fresh=300, absent=10))
    cache = local_cache(source, clock, entities=[entity])
    for _ in range(20):
        assert await cache.get(entity, "a") is None
        await settled()
    assert source.loads == ["a"]


async def test_a_load_that_never_ends_fails_and_says_why(clock: FakeClock) -> None:
    async def load(_source: object, _key: str) -> Thing | None:
        await asyncio.Event().wait()
        return None

    entity = Entity(name="e", value=Thing, load=load, policy=Policy(fresh=1, load_within=0.01))
    with pytest.raises(LoadFailed) as failed:
        await local_cache(Source(), clock, entities=[entity]).get(entity, "a")
    assert isinstance(failed.value.__cause__, TimeoutError)
    assert "load_within" in str(failed.value.__cause__)


async def one_by_one(source: Source, key: str) -> Thing | None:
    return await source.read(key)


async def some_fail(source: Source, keys: Sequence[str]) -> Mapping[str, Thing | Loaded[Thing] | Exception]:
    source.loads.append("+".join(keys))
    kinds: dict[str, Thing | Loaded[Thing] | Exception] = {
        "a": Thing("a", 1),
        "b": OSError("b is away"),
        "c": Loaded(value=Thing("c", 1), ttl=10),
    }
    return {key: kinds[key] for key in keys if key in kinds}


async def test_of_many_keys_those_that_fail_do_not_keep_back_the_others(clock: FakeClock) -> None:
    source = Source()
    entity = Entity(name="e", value=Thing, load=one_by_one, load_many=some_fail, policy=Policy(fresh=100))
    cache = local_cache(source, clock, entities=[entity])
    with pytest.raises(SomeFailed, match="cannot load 1 of 3 keys of 'e'") as failed:
        await cache.get_many(entity, ["a", "b", "c", "none"])
    assert failed.value.values == {"a": Thing("a", 1), "c": Thing("c", 1)}
    assert str(failed.value.failures["b"].__cause__) == "b is away"
    assert source.loads == ["a+b+c+none"]
    assert cache.peek(entity, "a") == Thing("a", 1)
    clock.advance(12)
    assert cache.peek(entity, "c") is None, "its own time counts"
    assert cache.peek(entity, "a") == Thing("a", 1)


async def test_who_leaves_an_invalidation_does_not_leave_half_of_it(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(STRICT, "a")
    leaving = asyncio.create_task(cache.invalidate(STRICT, ALL))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await settled()
    assert cache.peek(STRICT, "a") is None
