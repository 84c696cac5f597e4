"""One process of a stampede: reads lines `KEY MOMENT` and answers each with `LOADS P50 P99 MOST` (milliseconds).

python -m benchmarks.peers.stampede_worker LIBRARY PORT CALLERS
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import aiocache
import cashews
import redis
import uvloop
from dogpile.cache import make_region

from benchmarks.peers.ours import VALUE, Source, ours
from benchmarks.peers.rounds import percentile

LOAD = 0.1
THREAD_STACK = 256 * 1024
CONNECTIONS = 50

Get = Callable[[str], Awaitable[object]]


@asynccontextmanager
async def gatewayz(source: Source, port: int, _callers: int) -> AsyncIterator[Get]:
    async with ours(source, f"redis://127.0.0.1:{port}") as cache:
        yield lambda key: cache.get(VALUE, key)


@asynccontextmanager
async def cashews_lock(source: Source, port: int, _callers: int) -> AsyncIterator[Get]:
    """`lock=True`, as its documents say against a stampede."""
    cache = cashews.Cache()
    cache.setup(f"redis://127.0.0.1:{port}", socket_timeout=5, max_connections=CONNECTIONS)

    yield cache(ttl=60, lock=True, key="stampede:{key}")(source.text)
    await cache.close()


@asynccontextmanager
async def cashews_early(source: Source, port: int, _callers: int) -> AsyncIterator[Get]:
    cache = cashews.Cache()
    cache.setup(f"redis://127.0.0.1:{port}", socket_timeout=5, max_connections=CONNECTIONS)

    yield cache.early(ttl=60, key="early:{key}")(source.text)
    await cache.close()


@asynccontextmanager
async def aiocache_stampede(source: Source, port: int, callers: int) -> AsyncIterator[Get]:
    """Its pool does not wait for a free connection: one for each caller."""

    yield aiocache.cached_stampede(
        lease=2,
        ttl=60,
        cache=aiocache.RedisCache,
        endpoint="127.0.0.1",
        port=port,
        pool_max_size=callers,
        key_builder=lambda _function, key: f"stampede:{key}",
    )(source.text)


@asynccontextmanager
async def dogpile_threads(source: Source, port: int, callers: int) -> AsyncIterator[Get]:
    """It knows no event loop: one thread for each caller, and its lock in Redis."""
    pool = redis.BlockingConnectionPool.from_url(f"redis://127.0.0.1:{port}", max_connections=CONNECTIONS, timeout=60)
    region = make_region().configure(
        "dogpile.cache.redis",
        expiration_time=60,
        arguments={"connection_pool": pool, "distributed_lock": True, "lock_timeout": 10, "thread_local_lock": False},
    )
    counting = threading.Lock()

    def load(key: str) -> str:
        with counting:
            source.loads += 1
        time.sleep(LOAD)
        return key

    def get(key: str) -> object:
        return region.get_or_create(f"stampede:{key}", load, creator_args=((key,), {}))

    threading.stack_size(THREAD_STACK)
    with ThreadPoolExecutor(callers) as threads:
        yield lambda key: asyncio.get_running_loop().run_in_executor(threads, get, key)


LIBRARIES = {
    "gatewayz": gatewayz,
    "cashews lock": cashews_lock,
    "cashews early": cashews_early,
    "aiocache cached_stampede": aiocache_stampede,
    "dogpile.cache, threads": dogpile_threads,
}


async def main(library: str, port: int, callers: int) -> None:
    source = Source(seconds=LOAD)
    async with LIBRARIES[library](source, port, callers) as get:
        while line := await asyncio.to_thread(sys.stdin.readline):
            key, moment = line.split()
            source.loads = 0
            await asyncio.sleep(float(moment) - time.monotonic())
            waits = sorted(await asyncio.gather(*(_waited(get, key) for _ in range(callers))))
            p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
            print(source.loads, *(1000 * each for each in (p50, p99, waits[-1])), flush=True)


async def _waited(get: Get, key: str) -> float:
    began = time.monotonic()
    await get(key)
    return time.monotonic() - began


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
