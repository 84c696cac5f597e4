"""How much of each entity Redis holds, by keys drawn at random."""

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import BATCHED, STRICT, Source, local_cache
from tests.support.fake_clock import FakeClock

ROWS = 300


async def test_shares_are_near_the_truth_and_strange_keys_are_nobodys(redis: Redis) -> None:
    source = Source()
    source.rows = {f"row {n}": n for n in range(ROWS)}
    cache = local_cache(source, FakeClock(), redis=redis)
    try:
        await cache.get_many(BATCHED, [f"row {n}" for n in range(ROWS)])
        await cache.get_many(STRICT, [f"row {n}" for n in range(ROWS // 3)])
        for n in range(ROWS):
            await redis.set(f"test:strict:{n}", "of another program")
        census = await cache.census()
        assert census is not None
        assert census.keys == await redis.dbsize()
        batched, strict = census.shares[BATCHED.name], census.shares[STRICT.name]
        # Four in nine of 200 draws, and four standard deviations.
        assert batched.entries == pytest.approx(ROWS, rel=0.35)
        assert strict.entries == pytest.approx(ROWS / 3, rel=0.75)
        assert batched.entries > strict.entries
        assert batched.bytes is not None
        assert batched.bytes > 40 * batched.entries
        assert census.shares.keys() == {BATCHED.name, STRICT.name}
    finally:
        await cache.close()


async def test_an_empty_redis_has_none_and_no_redis_has_no_census(redis: Redis) -> None:
    cache = local_cache(Source(), FakeClock(), redis=redis)
    try:
        census = await cache.census()
    finally:
        await cache.close()
    assert census is not None
    assert (census.keys, census.drawn, census.shares) == (0, 0, {})
    assert await local_cache(Source(), FakeClock()).census() is None
