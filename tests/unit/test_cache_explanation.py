"""What memory says of a key, and why. What Redis says is seen in tests/integration/test_cache_explanation.py."""

import asyncio
import random

import pytest
from tests.support.cache_world import ENTITIES, LENIENT, STRICT, WHOLE, Source, Thing, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.wire_bus import Wire, WireBus

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.errors import UnknownEntity
from gatewayz.cache.heard import MOST_KEYS, Heard


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "whole": 1}
    return source


@pytest.fixture
def cache(source: Source, clock: FakeClock) -> Cache:
    return local_cache(source, clock)


async def test_what_was_never_read_is_explained_without_loading_it(cache: Cache, source: Source) -> None:
    told = await cache.explain(STRICT, "a")
    assert (told.l1.state, told.l1.is_hit) == ("none", False)
    assert "never read here, evicted" in told.l1.why
    assert (told.l2.state, told.l2.why[:22]) == ("none", "no Redis is configured")
    assert source.loads == []
    assert cache.stats().entries == 0


async def test_a_fresh_value_says_for_how_long(cache: Cache, clock: FakeClock) -> None:
    await cache.get(STRICT, "a")
    clock.advance(4)
    told = (await cache.explain(STRICT, "a")).l1
    assert (told.state, told.is_hit, told.age) == ("fresh", True, 4)
    assert told.fresh_for is not None
    assert f"fresh for another {told.fresh_for:,.0f} s" in told.why


async def test_a_stale_value_says_since_when_and_how_long_it_may_be_served(cache: Cache, clock: FakeClock) -> None:
    await cache.get(LENIENT, "a")
    clock.advance(1000)
    told = (await cache.explain(LENIENT, "a")).l1
    assert (told.state, told.is_hit) == ("stale", True)
    assert "no longer fresh since" in told.why
    assert "stale allowed for another 86," in told.why


async def test_an_expired_value_says_since_when(cache: Cache, clock: FakeClock) -> None:
    await cache.get(STRICT, "a")
    fresh_for = (await cache.explain(STRICT, "a")).l1.fresh_for
    assert fresh_for is not None
    clock.advance(fresh_for + 4)
    told = (await cache.explain(STRICT, "a")).l1
    assert (told.state, told.is_hit, told.why) == ("expired", False, "expired 4.0 s ago: a read loads it anew")


async def test_a_remembered_absence_is_told_from_a_missing_entry(cache: Cache) -> None:
    await cache.get(STRICT, "nobody")
    told = (await cache.explain(STRICT, "nobody")).l1
    assert (told.state, told.is_hit) == ("absent", True)
    assert '"there is none" is remembered' in told.why


async def test_an_invalidated_key_says_when_that_was(cache: Cache, clock: FakeClock) -> None:
    await cache.get(STRICT, "a")
    await cache.invalidate(STRICT, "a")
    clock.advance(3)
    told = await cache.explain(STRICT, "a")
    assert told.l1.why.startswith("not in memory: the key was invalidated 3.0 s ago")
    assert told.last_invalidation is not None
    assert (told.last_invalidation.seconds_ago, told.last_invalidation.is_whole) == (3, False)
    assert told.last_invalidation.at == clock.now() - 3
    assert (await cache.explain(STRICT, "b")).last_invalidation is None


async def test_an_invalidated_entity_says_that_all_of_it_was(cache: Cache, clock: FakeClock) -> None:
    await cache.invalidate(STRICT, "a")
    await cache.invalidate(STRICT)
    clock.advance(3)
    told = await cache.explain(STRICT, "a")
    assert told.l1.why.startswith("not in memory: the whole entity was invalidated 3.0 s ago")


async def test_a_worker_that_lost_the_bus_says_so(source: Source, clock: FakeClock) -> None:
    bus = WireBus(Wire())
    cache = local_cache(source, clock, bus=bus)
    await cache.start()
    await cache.get(LENIENT, "a")
    bus.cut()
    assert (await cache.explain(LENIENT, "a")).l1.state == "untrusted"
    assert "lost the bus" in (await cache.explain(LENIENT, "a")).l1.why
    strict = (await cache.explain(STRICT, "a")).l1
    assert (strict.state, strict.is_hit) == ("none", False)
    assert "lost the bus" in strict.why
    await cache.close()


async def test_a_cache_that_is_switched_off_says_so(source: Source, clock: FakeClock) -> None:
    told = await local_cache(source, clock, enabled=False).explain(STRICT, "a")
    assert "switched off" in told.l1.why
    assert "switched off" in told.l2.why


async def test_an_unknown_entity_is_answered_with_the_nearest_names_and_all(cache: Cache) -> None:
    with pytest.raises(UnknownEntity) as refused:
        await cache.explain_text("test:strikt", "a")
    assert "did you mean 'test:strict'" in str(refused.value)
    assert all(entity.name in str(refused.value) for entity in ENTITIES)


async def test_a_key_is_given_as_text_and_the_answer_says_how_it_is_written(cache: Cache, clock: FakeClock) -> None:
    def joined(pair: tuple[str, int]) -> str:
        """The name, a hash sign, the number."""
        return f"{pair[0]}#{pair[1]}"

    async def load(_source: object, pair: tuple[str, int]) -> Thing:
        return Thing(pair[0], pair[1])

    numbered = Entity(name="numbered", value=Thing, load=load, policy=Policy(fresh=100), key_text=joined)
    own = Cache([numbered], None, clock=clock, rng=random.Random(1))
    await own.get(numbered, ("a", 7))
    told = await own.explain_text("numbered", "a#7")
    assert told.l1.state == "fresh"
    assert told.key_form == "as 'numbered' writes its keys: The name, a hash sign, the number."
    assert (await cache.explain(STRICT, "a")).key_form == "key, as it is"
    assert (await cache.explain(WHOLE, ())).key_form == "empty: the entity has one value"


async def test_a_load_under_way_is_told(cache: Cache, source: Source) -> None:
    source.gate = asyncio.Event()
    loading = asyncio.create_task(cache.get(STRICT, "a"))
    await until(source.loading)
    told = await cache.explain(STRICT, "a")
    assert told.is_loading_here
    assert "is under way in this worker" in told.l1.why
    source.gate.set()
    await loading
    assert not (await cache.explain(STRICT, "a")).is_loading_here


def test_what_was_heard_is_bounded_and_the_newest_of_a_key_stays() -> None:
    heard = Heard()
    heard.note("first", 1.0)
    for number in range(MOST_KEYS):
        heard.note(f"k{number}", 2.0)
    heard.note("k1", 3.0)
    assert heard.last("first") is None
    newest = heard.last("k1")
    assert newest is not None
    assert newest.at == 3.0
    heard.note(None, 4.0)
    whole = heard.last("k1")
    assert whole is not None
    assert (whole.at, whole.is_whole) == (4.0, True)
