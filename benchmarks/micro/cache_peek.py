"""What a hit in the worker's memory costs: nanoseconds for each `Cache.peek` and each awaited `Cache.get`.

Run: python -m benchmarks.micro.cache_peek
"""

import asyncio
import random
import time
from collections.abc import Callable

from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy

ROUNDS = 200_000
REPEATS = 5


class Principal(Struct, frozen=True):
    account: int


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


async def find(_source: object, key: str) -> Principal:
    return Principal(len(key))


KEY = Entity(name="bench:key", value=Principal, load=find, policy=Policy(fresh=300))


def best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(REPEATS)) / ROUNDS * 1e9


async def main() -> None:
    cache = Cache([KEY], None, clock=SystemClock(), rng=random.Random(1))
    digests = [f"{n:064x}" for n in range(1000)]
    await cache.get_many(KEY, digests)
    asked = [digests[n % 1000] for n in range(ROUNDS)]

    def peek() -> float:
        began = time.perf_counter()
        for digest in asked:
            cache.peek(KEY, digest)
        return time.perf_counter() - began

    def nothing() -> float:
        began = time.perf_counter()
        for _digest in asked:
            pass
        return time.perf_counter() - began

    empty = best(nothing)
    print(f"peek  {best(peek) - empty:6.0f} ns")
    gets = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for digest in asked:
            await cache.get(KEY, digest)
        gets.append(time.perf_counter() - began)
    print(f"get   {min(gets) / ROUNDS * 1e9 - empty:6.0f} ns")


if __name__ == "__main__":
    asyncio.run(main())
