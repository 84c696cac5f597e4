"""What a GET costs over the cache's wire and over redis.asyncio: microseconds of this process's CPU for each, side by
side, one caller at a time and many callers at once. Also a whole read of the cache's Redis tier.

Run: python -m benchmarks.micro.wire
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from tests.support.own_redis import own_redis

from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.wire.endpoint import dial_like
from gatewayz.cache.wire.wire import Wire

OPERATIONS = 6_000
CALLERS = (1, 16, 256)
ROUNDS = 5
VALUE = b"x" * 300


class Principal(Struct, frozen=True):
    account: int
    name: str


async def find(_source: object, key: str) -> Principal:
    return Principal(len(key), "n" * 200)


KEY = Entity(name="bench:key", value=Principal, load=find, policy=Policy(fresh=300, l1_max=0))


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def only(replies: list[Any], _order: int) -> Any:  # noqa: ANN401  whatever Redis says
    return replies[0]


async def cost(get: Callable[[], Awaitable[object]], callers: int) -> float:
    """Microseconds of CPU, user and system, for each of OPERATIONS shared by the callers."""

    async def caller() -> None:
        for _ in range(OPERATIONS // callers):
            await get()

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.process_time() - began) / OPERATIONS * 1e6


async def measure(redis: Redis) -> None:
    await redis.set("k", VALUE)
    wire = Wire(dial_like(redis), name="bench", scripts={}, rng=random.Random(1), on_push=lambda _push: None)
    cache = Cache([KEY], None, clock=SystemClock(), rng=random.Random(1), redis=redis)
    numbers = iter(range(10**9))
    digests = [f"{n:064x}" for n in range(1000)]
    await cache.get_many(KEY, digests)
    command = [("GET", "k")]
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "redis.asyncio GET": lambda: redis.get("k"),
        "wire GET": lambda: wire.ask(command, within=5, then=only),
        "Cache.get from Redis": lambda: cache.get(KEY, digests[next(numbers) % 1000]),
    }
    print(f"{'µs of CPU each':24}" + "".join(f"{callers:>8} callers" for callers in CALLERS) + "   ratio to the first")
    found: dict[str, list[list[float]]] = {name: [[] for _ in CALLERS] for name in ways}
    for _ in range(ROUNDS):
        for index, callers in enumerate(CALLERS):
            for name, get in ways.items():
                found[name][index].append(await cost(get, callers))
    first = [statistics.median(each) for each in next(iter(found.values()))]
    for name, columns in found.items():
        row = [statistics.median(each) for each in columns]
        ratios = " ".join(f"{base / each:5.1f}" for base, each in zip(first, row, strict=True))
        print(f"{name:24}" + "".join(f"{each:16.1f}" for each in row) + f"   {ratios}")
    await cache.close()
    await wire.close()


async def main() -> None:
    with own_redis() as server:
        async with connect(server.url, connect_timeout=5, socket_timeout=5) as redis:
            await measure(redis)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
