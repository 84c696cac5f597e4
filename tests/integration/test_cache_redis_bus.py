"""Who is waited for when a message goes over Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from tests.support.cache_world import eventually
from tests.support.patience import PATIENCE
from tests.support.servers import fresh_database

from gatewayz import app
from gatewayz.cache.bus import Bus
from gatewayz.cache.connection import connect
from gatewayz.cache.redis_bus import RedisBus
from gatewayz.cache.redis_place import redis_place
from gatewayz.embedded.servers import Servers

pytestmark = pytest.mark.alone

CHANNEL = "gw:bus:test"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as redis:
        yield redis


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[list[str]]:
    heard: list[str] = []
    await bus.listen(heard.append, lambda: None)
    yield heard
    await bus.close()


@asynccontextmanager
async def frozen(redis: Redis) -> AsyncIterator[PubSub]:
    """One who has subscribed and confirms nothing."""
    async with redis.pubsub() as listener:
        await listener.subscribe(CHANNEL)
        assert (await next_of(listener))["type"] == "subscribe"
        yield listener


async def next_of(listener: PubSub) -> dict[str, bytes | str]:
    async with asyncio.timeout(PATIENCE):
        while (message := await listener.get_message(timeout=None)) is None:
            pass
    return dict(message)


async def confirm(redis: Redis, listener: PubSub, name: str) -> None:
    """As a worker of that name does with the next message."""
    text = (await next_of(listener))["data"]
    assert isinstance(text, bytes)
    sender, number, _ = text.decode().split(" ", 2)
    await redis.publish(f"{CHANNEL}:ack:{sender}", f"{number} {name}")


async def is_still_waited_for(redis: Redis, sent: "asyncio.Task[bool]") -> bool:
    for _ in range(20):
        await redis.ping()
    return not sent.done()


def never_hurried(bus: RedisBus) -> RedisBus:
    """From now on who is waited for is waited for as long as the test may take."""
    bus._acknowledged_within = 10 * PATIENCE
    return bus


async def test_a_frozen_listener_is_waited_for_once(redis: Redis) -> None:
    one, two = (RedisBus(redis, channel=CHANNEL, sent_within=30, acknowledged_within=0.2) for _ in range(2))
    async with listening(one), listening(two) as heard, frozen(redis):
        assert await one.publish("0") is False
        never_hurried(one)
        async with asyncio.timeout(PATIENCE):
            for number in range(1, 20):
                assert await one.publish(str(number)) is False
                assert heard[-1] == str(number), "those who do confirm are waited for"


async def test_who_speaks_again_is_waited_for(redis: Redis) -> None:
    bus = RedisBus(redis, channel=CHANNEL, sent_within=30, acknowledged_within=0.2)
    async with listening(bus), frozen(redis) as thawing:
        assert await bus.publish("a") is False
        never_hurried(bus)
        await confirm(redis, thawing, "thawing")
        await eventually(lambda: not bus._deaf)
        sent = asyncio.create_task(bus.publish("b"))
        assert await is_still_waited_for(redis, sent)
        await confirm(redis, thawing, "thawing")
        async with asyncio.timeout(PATIENCE):
            assert await sent is True


async def test_who_thaws_stands_in_for_nobody(redis: Redis) -> None:
    bus = RedisBus(redis, channel=CHANNEL, sent_within=30, acknowledged_within=0.2)
    async with listening(bus), frozen(redis) as thawing, frozen(redis) as well:
        sent = asyncio.create_task(bus.publish("a"))
        await confirm(redis, well, "well")
        assert await sent is False
        never_hurried(bus)
        await next_of(thawing)
        sent = asyncio.create_task(bus.publish("b"))
        await confirm(redis, thawing, "thawing")
        assert await is_still_waited_for(redis, sent)
        await confirm(redis, well, "well")
        async with asyncio.timeout(PATIENCE):
            assert await sent is True


async def test_who_comes_is_waited_for_beside_a_frozen_one(redis: Redis) -> None:
    bus = RedisBus(redis, channel=CHANNEL, sent_within=30, acknowledged_within=0.2)
    async with listening(bus), frozen(redis):
        assert await bus.publish("a") is False
        never_hurried(bus)
        async with frozen(redis) as late:
            sent = asyncio.create_task(bus.publish("b"))
            assert await is_still_waited_for(redis, sent)
            await confirm(redis, late, "late")
            async with asyncio.timeout(PATIENCE):
                assert await sent is False


async def test_installations_on_one_redis_do_not_hear_each_other(servers: Servers, redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        ears = []
        for name in ("one", "two"):
            place = redis_place(redis_url, connect_timeout=5, socket_timeout=5)
            stack.push_async_callback(place.close)
            bus = app._bus(await stack.enter_async_context(fresh_database(servers)), place, name)
            ears.append((bus, await stack.enter_async_context(listening(bus))))
        (one, heard), (_, also_heard) = ears
        await one.publish("a")
        assert heard
        assert not also_heard
