"""Random histories of reads, writes, invalidations, cancels and flushes over several workers and one Redis.

Checked: no read returns a version older than the last one whose invalidation was confirmed before the read began.
"""

import asyncio
import random
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import Thing
from tests.support.fake_clock import FakeClock

from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import ALL, Entity, Policy, Single
from gatewayz.cache.redis_bus import RedisBus

pytestmark = pytest.mark.alone

KEYS = ("a", "b", "c")
STEPS = 400


class World:
    """One database; each worker's source knows the worker's own cache, so that loaders can read through it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rows = dict.fromkeys(KEYS, 0)
        self.confirmed = dict.fromkeys(KEYS, 0)
        self.violations: list[str] = []
        self.reads = 0

    async def pause(self) -> None:
        for _ in range(self.rng.randrange(12)):
            await asyncio.sleep(0)


class WorkerSource:
    def __init__(self, world: World) -> None:
        self.world = world
        self.cache: Cache | None = None


async def load_row(source: WorkerSource, key: str) -> Thing:
    await source.world.pause()
    version = source.world.rows[key]
    await source.world.pause()
    return Thing(key, version)


async def load_sum(source: WorkerSource, _key: Single) -> Thing:
    assert source.cache is not None
    rows = await source.cache.get_many(ROW, KEYS)
    await source.world.pause()
    return Thing("sum", sum(row.version for row in rows.values()))


ROW = Entity(name="history:row", value=Thing, load=load_row, policy=Policy(fresh=100, stale=1000, refresh_at=50))
SUM = Entity(name="history:sum", value=Thing, load=load_sum, policy=Policy(fresh=100, stale=1000), hangs_on=(ROW,))


async def write(world: World, cache: Cache) -> None:
    key = world.rng.choice(KEYS)
    world.rows[key] += 1
    version = world.rows[key]
    await world.pause()
    cleared = await (cache.invalidate(ROW) if world.rng.random() < 0.2 else cache.invalidate(ROW, key))
    if cleared.everywhere:
        world.confirmed[key] = max(world.confirmed[key], version)


async def read_row(world: World, cache: Cache) -> None:
    key = world.rng.choice(KEYS)
    floor = world.confirmed[key]
    how = world.rng.random()
    if how < 0.3:
        value = cache.peek(ROW, key)
    elif how < 0.6:
        value = (await cache.get_many(ROW, KEYS)).get(key)
    else:
        value = await cache.get(ROW, key)
    world.reads += 1
    if value is not None and value.version < floor:
        world.violations.append(f"{key}: read {value.version}, confirmed before {floor}")


async def read_sum(world: World, cache: Cache) -> None:
    floor = sum(world.confirmed.values())
    value = await cache.get(SUM)
    world.reads += 1
    if value is not None and value.version < floor:
        world.violations.append(f"sum: read {value.version}, confirmed before {floor}")


async def leave_early(world: World, cache: Cache) -> None:
    caller: asyncio.Task[Any] = asyncio.create_task(cache.get(ROW, world.rng.choice(KEYS)))
    await world.pause()
    caller.cancel()


@pytest.mark.parametrize("seed", range(8))
async def test_no_read_returns_what_was_confirmed_dead_before_it_began(redis_url: str, seed: int) -> None:
    world, clock = World(seed), FakeClock()
    async with connect(redis_url) as redis:
        caches = [await _worker(world, clock, redis) for _ in range(3)]
        running: set[asyncio.Task[None]] = set()
        for step in range(STEPS):
            cache = world.rng.choice(caches)
            act = world.rng.choices([write, read_row, read_sum, leave_early], [1, 6, 3, 1])[0]
            task = asyncio.create_task(act(world, cache))
            running.add(task)
            task.add_done_callback(running.discard)
            if step % 97 == 0:
                await redis.flushall()
            if step % 41 == 0:
                clock.advance(world.rng.choice([1, 30, 61, 120]))
            await world.pause()
            if len(running) > 20:
                await asyncio.wait(set(running), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*running)
        assert world.violations == []
        assert world.reads > STEPS / 2
        assert sum(world.confirmed.values()) > 10
        for cache in caches:
            await cache.invalidate(ROW, ALL)
            assert await cache.get(SUM) == Thing("sum", sum(world.rows.values()))
            await cache.close()


async def _worker(world: World, clock: FakeClock, redis: Redis) -> Cache:
    source = WorkerSource(world)
    cache = Cache([ROW, SUM], source, clock=clock, rng=random.Random(1), redis=redis, bus=RedisBus(redis))
    source.cache = cache
    await cache.start()
    return cache
