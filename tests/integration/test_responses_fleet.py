"""What the maker of an answer tells other workers by Redis: nothing before one of them follows, then all of it."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from tests.support.patience import PATIENCE

from gatewayz.cache.redis_lines import OneLine
from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import SystemClock
from gatewayz.core.supervision import background
from gatewayz.responses import scripts
from gatewayz.responses.fleet import Fleet, Following, Lead
from gatewayz.responses.flight import Lost
from gatewayz.responses.records import Began, Chunk, Ended, Record, TooLong
from gatewayz.responses.wakes import Wakes

BEGAN = Began("acme", "text/event-stream", is_stream=True)
ENDED = Ended(None, 1.0, None)
KEY = "k"
LEASE = 3.0


@pytest.fixture
async def running(redis: Redis) -> AsyncIterator[RedisScripts]:
    running = RedisScripts(redis, scripts.ALL, clock=SystemClock(), rng=random.Random(1))
    yield running
    await running.close()


def worker(redis: Redis, running: RedisScripts, *, most_bytes: int = 1000) -> Fleet:
    """It hears of followers, and of what it follows, only once its `wakes` listen."""
    wakes = Wakes(OneLine(redis), "test:flights")
    return Fleet(running, wakes, SystemClock(), prefix="test:flight:", lease=LEASE, most_bytes=most_bytes)


async def led(fleet: Fleet) -> Lead:
    claim = await fleet.claim(KEY)
    assert isinstance(claim, Lead)
    return claim


async def followed(fleet: Fleet) -> list[Record]:
    claim = await fleet.claim(KEY)
    assert isinstance(claim, Following)
    async with asyncio.timeout(PATIENCE):
        records: list[Record] = []
        async for record in fleet.follow(claim):
            records.append(record)
            if isinstance(record, Ended | TooLong):
                break
        return records


async def begun_unheard(redis: Redis, running: RedisScripts) -> tuple[Lead, asyncio.Task[list[Record]]]:
    """A maker that has begun and does not hear of its follower, and what that one will have got."""
    lead = await led(worker(redis, running))
    lead.write(BEGAN)
    return lead, asyncio.create_task(followed(worker(redis, running)))


async def keys(redis: Redis, what: str) -> list[bytes]:
    """`what`: log or followed."""
    return [key async for key in redis.scan_iter(f"test:flight:*:{what}:*")]


async def until_there(redis: Redis, what: str) -> list[bytes]:
    """The keys of this kind, once there are any."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await keys(redis, what)):  # noqa: ASYNC110  Redis has it by what others do
            await asyncio.sleep(0.005)
        return found


async def until_released(fleet: Fleet) -> None:
    async with asyncio.timeout(PATIENCE):
        while not isinstance(claim := await fleet.claim(KEY), Lead):  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.005)
    claim.release(is_kept=False)


async def test_while_nobody_follows_redis_is_told_nothing_of_what_comes(redis: Redis, running: RedisScripts) -> None:
    lead = await led(worker(redis, running))
    for record in (BEGAN, Chunk(b"one"), ENDED):
        lead.write(record)
    assert not await lead.is_followed()
    assert await keys(redis, "log") == []
    lead.release(is_kept=False)
    await until_released(worker(redis, running))


async def test_who_follows_gets_what_there_was_and_then_each_part_as_it_comes(
    redis: Redis, running: RedisScripts
) -> None:
    ours, theirs = worker(redis, running), worker(redis, running)
    works = {"ours": (ours.wakes.listen, 0.1), "theirs": (theirs.wakes.listen, 0.1)}
    async with background(works):
        lead = await led(ours)
        lead.write(BEGAN)
        lead.write(Chunk(b"one"))
        following = asyncio.create_task(followed(theirs))
        (log,) = await until_there(redis, "log")
        lead.write(Chunk(b"two"))
        assert await redis.llen(log) == 2
        lead.write(ENDED)
        assert await following == [BEGAN, Chunk(b"one"), Chunk(b"two"), ENDED]
        lead.release(is_kept=True)


async def test_a_maker_that_does_not_hear_of_who_follows_is_told_when_it_says_that_it_is_at_it(
    redis: Redis, running: RedisScripts
) -> None:
    lead, following = await begun_unheard(redis, running)
    await until_there(redis, "log")
    lead.write(ENDED)
    assert await following == [BEGAN, ENDED]
    lead.release(is_kept=True)


async def test_a_maker_that_did_not_hear_of_who_follows_tells_all_before_it_goes(
    redis: Redis, running: RedisScripts
) -> None:
    lead, following = await begun_unheard(redis, running)
    await until_there(redis, "followed")
    lead.write(Chunk(b"one"))
    lead.write(ENDED)
    lead.release(is_kept=False)
    assert await following == [BEGAN, Chunk(b"one"), ENDED]
    await until_released(worker(redis, running))


async def test_of_an_answer_that_is_too_long_to_follow_nothing_is_held_and_who_comes_is_told(
    redis: Redis, running: RedisScripts
) -> None:
    lead = await led(worker(redis, running, most_bytes=10))
    for record in (BEGAN, Chunk(b"0123456789"), Chunk(b"and more"), Chunk(b"of it")):
        lead.write(record)
    following = asyncio.create_task(followed(worker(redis, running)))
    await until_there(redis, "followed")
    lead.write(ENDED)
    lead.release(is_kept=False)
    assert await following == [TooLong()]


async def test_who_follows_a_maker_that_has_gone_is_told_so(redis: Redis, running: RedisScripts) -> None:
    lead = await led(worker(redis, running))
    lead.write(BEGAN)
    claim = await worker(redis, running).claim(KEY)
    assert isinstance(claim, Following)
    lead.release(is_kept=True)
    with pytest.raises(Lost):
        async for _ in worker(redis, running).follow(claim):
            pass
