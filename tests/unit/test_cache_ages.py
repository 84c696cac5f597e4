"""How old values are when they are served."""

import pytest
from tests.support.cache_world import LENIENT, STRICT, Source, local_cache, settled
from tests.support.fake_clock import FakeClock

from gatewayz.cache.cache import Cache
from gatewayz.cache.counts import AGED_OF


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1}
    return source


@pytest.fixture
def cache(source: Source, clock: FakeClock) -> Cache:
    return local_cache(source, clock)


async def test_the_first_hit_and_then_one_of_many_is_looked_at(cache: Cache, clock: FakeClock) -> None:
    ages = cache.stats().entities[STRICT.name].l1_ages
    await cache.get(STRICT, "a")
    assert ages.count == 0, "what was loaded for a read has no age"
    clock.advance(20)
    for _ in range(AGED_OF):
        assert cache.peek(STRICT, "a") is not None
    assert ages.count == 1
    assert ages.total == pytest.approx(20)
    clock.advance(10)
    assert await cache.get(STRICT, "a") is not None
    assert ages.count == 2
    assert ages.total == pytest.approx(50)


async def test_what_is_served_stale_is_looked_at_too(cache: Cache, clock: FakeClock) -> None:
    await cache.get(LENIENT, "a")
    clock.advance(1000)
    await cache.get(LENIENT, "a")
    await settled()
    stats = cache.stats().entities[LENIENT.name]
    assert stats.counts.stale == 1
    assert stats.l1_ages.count == 1
    assert stats.l1_ages.total == pytest.approx(1000)
