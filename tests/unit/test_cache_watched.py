"""A cache that tells each use of it."""

import random

import pytest
from structlog.testing import capture_logs
from tests.support.fake_clock import FakeClock
from tests.support.given_world import GIVEN, give

from gatewayz.cache.entity import Entity, Loaded, Policy
from gatewayz.cache.errors import LoadFailed
from gatewayz.cache.watched import WatchedCache
from gatewayz.telemetry.cache_lines import log_use

Told = list[tuple[str, str, str | None]]


async def load(source: object, key: str) -> Loaded[str] | None:  # noqa: ARG001  the loader's signature
    if key == "broken":
        raise OSError
    return Loaded(value=key)


LOADED: Entity[str, str] = Entity(name="test:loaded", value=str, policy=Policy(fresh=300), load=load)


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def cache(clock: FakeClock, told: Told) -> WatchedCache:
    cache = WatchedCache((LOADED, GIVEN), object(), clock=clock, rng=random.Random(7))
    cache.watch(lambda use, entity, key: told.append((use, entity, key)))
    return cache


async def test_a_read_is_a_miss_that_fills_and_then_a_hit(cache: WatchedCache, told: Told) -> None:
    assert await cache.get(LOADED, "a") == "a"
    assert told == [("MISS", "test:loaded", "a"), ("SET", "test:loaded", "a")]
    told.clear()
    assert await cache.get(LOADED, "a") == "a"
    assert cache.peek(LOADED, "a") == "a"
    assert await cache.get_many(LOADED, ["a"]) == {"a": "a"}
    assert told == [("HIT", "test:loaded", "a")] * 3


async def test_a_load_that_fails_fills_nothing(cache: WatchedCache, told: Told) -> None:
    with pytest.raises(LoadFailed):
        await cache.get(LOADED, "broken")
    assert told == [("MISS", "test:loaded", "broken")]


async def test_what_comes_up_elsewhere_is_set_and_found(cache: WatchedCache, told: Told) -> None:
    assert await cache.find(GIVEN, "a") is None
    assert await give(cache, 1)
    assert await cache.find(GIVEN, "a") is not None
    assert [use for use, _, _ in told] == ["MISS", "SET", "HIT"]


async def test_invalidations_are_told_of_one_key_and_of_all(cache: WatchedCache, told: Told) -> None:
    await cache.invalidate(LOADED, "a")
    await cache.invalidate(LOADED)
    assert told == [("INVALIDATE", "test:loaded", "a"), ("INVALIDATE", "test:loaded", None)]


@pytest.mark.parametrize(
    ("entity", "key", "shown"),
    [
        ("models:model", "acme/rocket-1", "acme/rocket-1"),
        ("models:stats", "", ""),
        ("auth:username", "a user's name", "b76fdbaa43db"),
        ("auth:username", None, "every key"),
    ],
)
def test_a_line_names_the_key_only_where_it_names_nobody(entity: str, key: str | None, shown: str) -> None:
    with capture_logs() as lines:
        log_use("HIT", entity, key)
    assert lines == [{"event": "Cache HIT", "log_level": "debug", "entity": entity, "key": shown}]
