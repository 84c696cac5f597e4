"""What a hit in the worker's own memory costs."""

import time
from collections.abc import Awaitable, Callable

import aiocache
import cachetools
import cashews
from dogpile.cache import make_region

from benchmarks.options import Tell
from benchmarks.peers.ours import VALUE, Source, ours
from benchmarks.peers.rounds import figure
from benchmarks.peers.server import Server
from benchmarks.result import Bar, Figure

KEYS = 1000


async def run(server: Server, rounds: int, tell: Tell) -> list[Figure]:
    reads = 50_000 if rounds > 1 else 5_000
    keys = [f"k{n}" for n in range(KEYS)] * (reads // KEYS)
    server.flush()
    async with ours(Source(), server.url) as cache:
        ttl: cachetools.TTLCache[str, str] = cachetools.TTLCache(10_000, 3600)
        lru: cachetools.LRUCache[str, str] = cachetools.LRUCache(10_000)
        region = make_region().configure("dogpile.cache.memory", expiration_time=3600)
        memory = aiocache.SimpleMemoryCache()
        cashew = cashews.Cache()
        cashew.setup("mem://", size=10_000)
        for key in keys[:KEYS]:
            await cache.get(VALUE, key)
            ttl[key] = lru[key] = "x"
            region.set(key, "x")
            await memory.set(key, "x")
            await cashew.set(key, "x", expire=3600)
        at_once: dict[str, Callable[[str], object]] = {
            "gatewayz": lambda key: cache.peek(VALUE, key),
            "cachetools TTLCache": ttl.get,
            "cachetools LRUCache": lru.get,
            "dogpile.cache memory": region.get,
        }
        awaited: dict[str, Callable[[str], Awaitable[object]]] = {
            "gatewayz": lambda key: cache.get(VALUE, key),
            "cashews mem": cashew.get,
            "aiocache memory": memory.get,
        }
        peeks: dict[str, list[float]] = {who: [] for who in at_once}
        gets: dict[str, list[float]] = {who: [] for who in awaited}
        for _ in range(rounds):
            for who, peek in at_once.items():
                peeks[who].append(_called(peek, keys))
            for who, get in awaited.items():
                gets[who].append(await _awaited(get, keys))
        await cashew.close()
    tell("memory: done")
    return [
        figure("hit in memory, without a wait (peek)", "µs", peeks, bar=Bar.at_most(1, "µs")),
        figure("hit in memory, awaited (get)", "µs", gets),
    ]


def _called(get: Callable[[str], object], keys: list[str]) -> float:
    began = time.perf_counter()
    for key in keys:
        get(key)
    return (time.perf_counter() - began) / len(keys) * 1e6


async def _awaited(get: Callable[[str], Awaitable[object]], keys: list[str]) -> float:
    began = time.perf_counter()
    for key in keys:
        await get(key)
    return (time.perf_counter() - began) / len(keys) * 1e6
