"""What memory serves, compared with the source. Redis is in tests/integration/test_cache_sampler.py."""

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from tests.support.cache_world import LENIENT, Source, Thing, local_cache, settled, until
from tests.support.fake_clock import FakeClock
from tests.support.sampling import TOLD, sampled, samples
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Loaded, known_version
from gatewayz.cache.metrics import register
from gatewayz.cache.sampler import MOST_PENDING
from gatewayz.cache.samples import EntitySamples, TierSamples, Violation, Within


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1}
    return source


@pytest.fixture
def cache(source: Source, clock: FakeClock) -> Cache:
    return local_cache(source, clock, entities=[TOLD, LENIENT], sampler_rate=1)


def plant(cache: Cache, key: str, value: Thing | None) -> None:
    """Put a wrong value where only a bug could."""
    cache._shelves[TOLD].entries[key].value = value


async def test_a_wrong_value_in_memory_is_found_told_and_removed(cache: Cache, clock: FakeClock) -> None:
    told: list[Violation] = []
    cache.on_violation(told.append)
    await cache.get(TOLD, "a")
    plant(cache, "a", Thing("a", 99))
    assert await sampled(cache, clock) == 1
    assert cache.peek(TOLD, "a") == Thing("a", 99)  # a first difference proves nothing
    await sampled(cache, clock, 2)
    await settled()
    assert samples(cache).entities["test:told"].l1 == TierSamples(checks=1, violations=1)
    assert [(each.entity, each.key, each.tier, each.after, each.age) for each in told] == [
        ("test:told", "a", "l1", None, 3)
    ]
    assert cache.peek(TOLD, "a") is None
    assert await cache.get(TOLD, "a") == Thing("a", 1)


async def test_a_remembered_absence_of_what_is_there_is_a_violation(cache: Cache, clock: FakeClock) -> None:
    await cache.get(TOLD, "a")
    plant(cache, "a", None)
    await sampled(cache, clock)
    await sampled(cache, clock, 2)
    assert samples(cache).entities["test:told"].l1.violations == 1


async def test_what_is_right_is_counted_and_stays(cache: Cache, source: Source, clock: FakeClock) -> None:
    await cache.get(TOLD, "a")
    entries = cache.stats().entries
    for _ in range(5):
        await sampled(cache, clock)
    assert samples(cache).entities["test:told"].l1 == TierSamples(checks=5, violations=0)
    assert cache.stats().entries == entries
    assert cache.stats().entities["test:told"].counts.loads == 1
    assert len(source.loads) == 6


async def test_a_source_that_moved_on_between_the_reads_is_no_violation(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(TOLD, "a")
    source.rows["a"] = 2
    await sampled(cache, clock)
    source.rows["a"] = 3
    await sampled(cache, clock, 2)
    found = samples(cache).entities["test:told"]
    assert (found.l1.violations, found.moved) == (0, 1)


async def test_a_value_that_was_replaced_between_the_reads_is_no_violation(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(TOLD, "a")
    source.rows["a"] = 2
    await sampled(cache, clock)
    await cache.invalidate(TOLD, "a")  # news that was on its way
    await cache.get(TOLD, "a")
    await sampled(cache, clock, 2)
    found = samples(cache).entities["test:told"]
    assert (found.l1.violations, found.healed) == (0, 1)


async def test_a_source_that_fails_is_counted_apart(cache: Cache, source: Source, clock: FakeClock) -> None:
    await cache.get(TOLD, "a")
    source.failing = OSError("away")
    await sampled(cache, clock)
    found = samples(cache).entities["test:told"]
    assert (found.l1, found.failed) == (TierSamples(), 1)
    assert cache.peek(TOLD, "a") == Thing("a", 1)


async def test_invalidated_keys_are_checked_after_1_10_and_60_seconds(cache: Cache, clock: FakeClock) -> None:
    await cache.get(LENIENT, "a")
    await cache.invalidate(LENIENT, "a")
    await cache.get(LENIENT, "a")
    assert samples(cache).pending == 3
    for seconds in (1, 9, 50):
        await sampled(cache, clock, seconds)
    assert [(each.seconds, each.checks, each.violations) for each in samples(cache).within] == [
        (1, 1, 0),
        (10, 1, 0),
        (60, 1, 0),
    ]
    assert samples(cache).pending == 0


async def test_after_an_invalidation_of_every_key_one_that_is_held_is_checked(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.invalidate(LENIENT)
    await cache.get(LENIENT, "a")
    source.rows["a"] = 2  # as if the load had read an older state
    await sampled(cache, clock)
    await sampled(cache, clock, 2)
    (within, *_) = samples(cache).within
    assert (within.checks, within.violations) == (1, 1)


async def test_what_nobody_tells_of_may_drift(cache: Cache, source: Source, clock: FakeClock) -> None:
    await cache.get(LENIENT, "a")
    source.rows["a"] = 2
    await sampled(cache, clock)
    await sampled(cache, clock, 2)
    found = samples(cache).entities["test:lenient"]
    assert (found.drifted > 0, found.l1.violations) == (True, 0)
    assert cache.peek(LENIENT, "a") == Thing("a", 1)


async def test_what_moves_all_the_time_is_not_compared(source: Source, clock: FakeClock) -> None:
    moving = replace(LENIENT, is_moving=True)
    cache = local_cache(source, clock, entities=[moving], sampler_rate=1)
    await cache.invalidate(moving, "a")
    await cache.get(moving, "a")
    source.rows["a"] = 2
    await sampled(cache, clock, 1)
    await sampled(cache, clock, 2)
    assert (samples(cache).entities["test:lenient"], samples(cache).pending) == (
        EntitySamples(TierSamples(), TierSamples()),
        0,
    )


async def test_a_check_whose_time_has_passed_is_given_up(cache: Cache, clock: FakeClock) -> None:
    await cache.invalidate(TOLD, "a")
    await sampled(cache, clock, 200)
    found = samples(cache)
    assert (found.late, found.pending) == (3, 0)
    assert [each.checks for each in found.within] == [0, 0, 0]


async def test_a_wave_of_invalidations_leaves_a_bounded_number_of_checks(cache: Cache) -> None:
    for number in range(MOST_PENDING):
        await cache.invalidate(TOLD, f"k{number}")
    assert samples(cache).pending == MOST_PENDING


async def test_no_more_checks_are_made_than_the_rate_allows(cache: Cache, source: Source, clock: FakeClock) -> None:
    await cache.get(TOLD, "a")
    assert await cache.sample() == 0
    assert await sampled(cache, clock, 1000) == 1
    assert await cache.sample() == 0
    quick = local_cache(source, clock, entities=[TOLD], sampler_rate=10)
    await quick.get(TOLD, "a")
    assert await sampled(quick, clock) == 10


async def test_it_rests_fifty_times_as_long_as_a_check_took(source: Source, clock: FakeClock) -> None:
    async def slow(_source: object, key: str) -> Thing:
        clock.advance(0.2)
        return Thing(key, 1)

    costly = replace(TOLD, load=slow)
    cache = local_cache(source, clock, entities=[costly], sampler_rate=10)
    await cache.get(costly, "a")
    assert await sampled(cache, clock) == 1
    assert await sampled(cache, clock, 9.7) == 0
    assert await sampled(cache, clock, 0.4) == 1


async def test_without_a_rate_nothing_is_done(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, entities=[TOLD])
    await cache.get(TOLD, "a")
    await cache.invalidate(TOLD, "a")
    assert await sampled(cache, clock, 10) == 0
    assert cache.stats().samples is None


async def test_what_would_not_be_served_is_not_judged(source: Source, clock: FakeClock) -> None:
    bus = WireBus(Wire())
    cache = local_cache(source, clock, entities=[LENIENT], bus=bus, sampler_rate=1)
    await cache.start()
    await cache.get(LENIENT, "a")
    bus.cut()
    await sampled(cache, clock)
    assert samples(cache).entities["test:lenient"].l1.checks == 0
    await cache.close()


async def test_a_value_whose_tag_was_invalidated_is_not_judged(source: Source, clock: FakeClock) -> None:
    async def load(source: Source, key: str) -> Loaded[Thing]:
        return Loaded(value=Thing(key, source.rows[key]), tags=("kind:t",))

    tagged = replace(TOLD, load=load, tags=("kind",))
    cache = local_cache(source, clock, entities=[tagged], sampler_rate=1)
    await cache.get(tagged, "a")
    source.rows["a"] = 2
    await cache.invalidate_tag("kind:t")
    await sampled(cache, clock)
    assert samples(cache).entities["test:told"] == EntitySamples(TierSamples(), TierSamples())


async def test_declared_versions_are_compared_instead_of_values(source: Source, clock: FakeClock) -> None:
    shown: list[str | None] = []

    async def load(source: Source, key: str) -> Loaded[Thing]:
        shown.append(known_version())
        return Loaded(value=Thing(key, len(shown)), version=str(source.rows[key]))

    versioned = replace(TOLD, load=load)
    cache = local_cache(source, clock, entities=[versioned], sampler_rate=1)
    await cache.get(versioned, "a")
    await sampled(cache, clock)
    assert samples(cache).entities["test:told"] == EntitySamples(TierSamples(1, 0), TierSamples())
    source.rows["a"] = 2
    await sampled(cache, clock)
    await sampled(cache, clock, 2)
    assert samples(cache).entities["test:told"].l1.violations == 1
    assert set(shown) == {None}  # the source is asked for the value, never whether it changed


async def test_a_check_does_not_join_a_load_and_a_read_does_not_join_a_check(
    cache: Cache, source: Source, clock: FakeClock
) -> None:
    await cache.get(TOLD, "a")
    assert not cache._shelves[TOLD].flights
    source.loading.clear()
    await sampled(cache, clock)
    await until(source.loading)
    assert not cache._shelves[TOLD].flights
    assert cache.stats().entities["test:told"].load_seconds.count == 1


def test_nines_are_not_claimed_beyond_what_the_checks_can_show() -> None:
    within = Within(1)
    assert within.nines is None
    within.count(checks=999)
    assert within.nines == 2.9
    within.count(checks=1)
    assert within.nines == 3.0
    within.count(violations=10)
    assert within.nines == 2.0


async def test_what_was_found_is_in_the_metrics(cache: Cache, clock: FakeClock) -> None:
    await cache.get(TOLD, "a")
    await cache.invalidate(TOLD, "a")
    await cache.get(TOLD, "a")
    await sampled(cache, clock)
    registry = CollectorRegistry()
    register(cache, registry)
    text = generate_latest(registry).decode()
    assert 'gatewayz_cache_sample_checks_total{entity="test:told",tier="l1"} 1.0' in text
    assert 'gatewayz_cache_sample_violations_total{entity="test:told",tier="l1"} 0.0' in text
    assert 'gatewayz_cache_consistent_nines{within="1"} 0.0' in text
