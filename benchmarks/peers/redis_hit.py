"""What a read costs that Redis answers: CPU of this process, all its threads, for each."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiocache
import cashews
import glide
from redis.asyncio import BlockingConnectionPool, Redis

from benchmarks.options import Tell
from benchmarks.peers.ours import CHECKED, VALUE, Source, ours, text_of
from benchmarks.peers.rounds import figure
from benchmarks.peers.server import Server
from benchmarks.result import Bar, Figure

CALLERS = (1, 16, 64, 256)
SIZES = {"300 B": 260, "4 kB": 4000}
KEYS = 500
CONNECTIONS = 50

Get = Callable[[str], Awaitable[object]]


async def run(server: Server, rounds: int, tell: Tell) -> list[Figure]:
    return [each for name, size in SIZES.items() for each in await _sized(server, rounds, name, size, tell)]


async def _sized(server: Server, rounds: int, name: str, size: int, tell: Tell) -> list[Figure]:
    server.flush()
    keys = [f"k{n}" for n in range(KEYS)]
    async with AsyncExitStack() as stack:
        ways = await _ways(stack, server, keys, size)
        found: dict[int, dict[str, list[float]]] = {callers: {who: [] for who in ways} for callers in CALLERS}
        for _ in range(rounds):
            for callers in CALLERS:
                for who, get in ways.items():
                    found[callers][who].append(await _cost(get, keys, callers, 4000 if rounds > 1 else 1000))
    tell(f"redis hits of {name}: done")
    bar = Bar("a fifth of redis.asyncio or less", lambda _, ratio: ratio is not None and ratio >= 5)
    return [
        figure(
            f"hit in Redis, {name}, {callers} callers", "µs of CPU", found[callers], first="redis.asyncio GET", bar=bar
        )
        for callers in CALLERS
    ]


async def _ways(stack: AsyncExitStack, server: Server, keys: list[str], size: int) -> dict[str, Get]:
    """Memory is switched off in ours, so that each read brings the whole value and decodes it; "checked" has it at hand
    and asks whether it still holds.
    """
    cache = await stack.enter_async_context(ours(Source(size=size), server.url, max_entries=0))
    checking = await stack.enter_async_context(ours(Source(size=size), server.url))
    text = text_of(size)
    pool = BlockingConnectionPool(host="127.0.0.1", port=server.port, max_connections=CONNECTIONS)
    redis = await stack.enter_async_context(Redis.from_pool(pool))
    address = [glide.NodeAddress("127.0.0.1", server.port)]
    client = await glide.GlideClient.create(glide.GlideClientConfiguration(address, request_timeout=5000))
    stack.push_async_callback(client.close)
    cashew = cashews.Cache()
    cashew.setup(server.url, socket_timeout=5, max_connections=CONNECTIONS)
    stack.push_async_callback(cashew.close)
    # Its pool does not wait for a free connection: one for each caller.
    aio = aiocache.RedisCache(endpoint="127.0.0.1", port=server.port, namespace="aio:", pool_max_size=max(CALLERS))
    stack.push_async_callback(aio.close)
    for key in keys:
        await cache.get(VALUE, key)
        await checking.get(CHECKED, key)
        await redis.set(key, text)
        await cashew.set(f"cashews:{key}", text, expire=3600)
        await aio.set(key, text)
    return {
        "gatewayz": lambda key: cache.get(VALUE, key),
        "gatewayz, checked": lambda key: checking.get(CHECKED, key),
        "redis.asyncio GET": redis.get,
        "valkey-glide GET": client.get,
        "cashews get": lambda key: cashew.get(f"cashews:{key}"),
        "aiocache get": aio.get,
    }


async def _cost(get: Get, keys: list[str], callers: int, reads: int) -> float:
    """Each caller reads one key after the other, none of them at the same time as another caller."""
    turns = itertools.cycle(keys)

    async def caller() -> None:
        for _ in range(reads // callers):
            await get(next(turns))

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.process_time() - began) / (reads // callers * callers) * 1e6
