"""What refreshes teach about how long values last, and what comes of it."""

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from tests.support.cache_world import LENIENT, STRICT, Source, Thing, local_cache
from tests.support.fake_clock import FakeClock

from gatewayz.app import check
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Loaded
from gatewayz.cache.errors import BadEntity
from gatewayz.cache.learned_ttl import FIRST_CHECKS, LearnedTtl, is_changed
from gatewayz.cache.metrics import register
from gatewayz.settings import Settings, SettingsInvalid


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 0}
    return source


async def refreshed(cache: Cache, clock: FakeClock, times: int, entity: Entity[str, Thing] = LENIENT) -> None:
    """Load it again and again, 100 s apart."""
    for _ in range(times):
        clock.advance(100)
        await cache.refresh(entity, "a")


async def test_refreshes_teach_and_the_declared_time_stays_in_force(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(LENIENT, "a")
    for version in range(10):
        source.rows["a"] = version
        await refreshed(cache, clock, 1)
    told = cache.stats().entities["test:lenient"].learned
    assert (told.checks, told.changes, told.is_in_force) == (10, 9, False)
    assert told.per_day is not None
    assert told.seconds == 90  # a tenth of what was declared
    explained = await cache.explain(LENIENT, "a")
    assert explained.learned_ttl == told
    assert explained.l1.fresh_for is not None
    assert explained.l1.fresh_for > 800


async def test_where_it_is_asked_for_values_live_as_long_as_was_learned(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock, learn={"test_lenient": 0.95})
    await cache.get(LENIENT, "a")
    for version in range(10):
        source.rows["a"] = version
        await refreshed(cache, clock, 1)
    told = (await cache.explain(LENIENT, "a")).l1
    assert told.fresh_for is not None
    assert 81 <= told.fresh_for <= 99
    await refreshed(cache, clock, 300)
    told = (await cache.explain(LENIENT, "a")).l1
    assert told.fresh_for is not None
    assert told.fresh_for > 99


async def test_a_load_that_replaces_nothing_teaches_nothing(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(STRICT, "a")
    await cache.invalidate(STRICT, "a")
    await cache.get(STRICT, "a")
    await cache.get(STRICT, "nobody")
    await cache.refresh(STRICT, "nobody")
    assert cache.stats().entities["test:strict"].learned.checks == 0


async def test_a_value_that_went_away_has_changed(source: Source, clock: FakeClock) -> None:
    cache = local_cache(source, clock)
    await cache.get(LENIENT, "a")
    del source.rows["a"]
    await refreshed(cache, clock, 1)
    told = cache.stats().entities["test:lenient"].learned
    assert (told.checks, told.changes) == (1, 1)


def test_versions_are_compared_where_both_declare_one() -> None:
    one, other = Loaded(value=Thing("a", 1), version="v1"), Loaded(value=Thing("a", 2), version="v1")
    assert not is_changed(one, other)
    assert is_changed(one, replace(other, version="v2"))
    assert is_changed(one, replace(other, version=None))
    assert not is_changed(one, Loaded(value=Thing("a", 1)))


def test_it_is_cut_at_once_and_widened_slowly() -> None:
    learned = LearnedTtl(100, 0.9)
    for _ in range(FIRST_CHECKS):
        learned.observed(changed=False, interval=100)
    assert learned.fresh == 125
    learned.observed(changed=False, interval=100)
    assert learned.fresh == 156.25
    learned.observed(changed=True, interval=100)
    assert learned.fresh < 140
    for _ in range(30):
        learned.observed(changed=False, interval=100)
    widened = learned.fresh
    for _ in range(3):
        learned.observed(changed=True, interval=100)
    assert learned.fresh < widened / 2


def test_before_there_are_enough_checks_the_declared_time_stands() -> None:
    learned = LearnedTtl(100, 0.9)
    for _ in range(FIRST_CHECKS - 1):
        learned.observed(changed=True, interval=1)
    assert (learned.fresh, learned.learned.per_day) == (100, None)


def test_it_forgets_and_so_follows_values_that_begin_to_change() -> None:
    learned = LearnedTtl(100, 0.9)
    for _ in range(5000):
        learned.observed(changed=False, interval=100)
    for _ in range(1000):
        learned.observed(changed=True, interval=100)
    assert learned.fresh == 10


async def test_what_was_learned_is_in_the_metrics(source: Source, clock: FakeClock) -> None:
    registry = CollectorRegistry()
    register(local_cache(source, clock), registry)
    text = generate_latest(registry).decode()
    assert 'gatewayz_cache_learned_ttl_seconds{entity="test:lenient"} 900.0' in text


def test_a_name_that_no_entity_has_is_refused(source: Source, clock: FakeClock) -> None:
    with pytest.raises(BadEntity, match="test_lenien"):
        local_cache(source, clock, learn={"test_lenien": 0.9})
    settings = Settings.model_validate({"cache": {"learned_ttl": {"models_uniqe": 0.9}}})
    with pytest.raises(SettingsInvalid, match=r"GATEWAYZ_CACHE__LEARNED_TTL__MODELS_UNIQE.*MODELS_UNIQUE"):
        check(settings)
