"""Redis is stopped (SIGSTOP) for some seconds under load: what do requests notice, and when is it used again?

Each library reads through Redis, without a memory of its own; a load takes no time, so that what is added is the
cache's. Requests come whether or not those before are answered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from statistics import median

import aiocache
import cashews
from msgspec import Struct

from benchmarks.options import Tell
from benchmarks.peers.ours import VALUE, Source, ours
from benchmarks.peers.rounds import figure, percentile
from benchmarks.peers.server import Server
from benchmarks.result import Bar, Figure

LOAD = 0.0
KEYS = 50
EVERY = 0.005
FROZEN = (2.0, 2.6, 3.2, 3.8, 4.4)  # one after the other: a probe comes at another time of each
AROUND = 1.0
POOL = 1000
RECOVERED_WITHIN = 15.0

Get = Callable[[str], Awaitable[object]]


class Request(Struct, frozen=True):
    at: float
    took: float


class Outcome(Struct, frozen=True):
    """Milliseconds that a request took longer than the median one before; seconds to the first answer from Redis."""

    first: float
    most: float
    p99: float
    later: float
    worst_later: float
    recovery: float


@asynccontextmanager
async def _gatewayz(source: Source, server: Server) -> AsyncIterator[Get]:
    async with ours(source, server.url, max_entries=0) as cache:
        yield lambda key: cache.get(VALUE, key)


@asynccontextmanager
async def _cashews(source: Source, server: Server) -> AsyncIterator[Get]:
    cache = cashews.Cache()
    cache.setup(server.url)

    yield cache(ttl=600, key="frozen:{key}")(source.text)
    await cache.close()


@asynccontextmanager
async def _aiocache(source: Source, server: Server) -> AsyncIterator[Get]:
    yield aiocache.cached(
        ttl=600,
        cache=aiocache.RedisCache,
        endpoint="127.0.0.1",
        port=server.port,
        pool_max_size=POOL,
        key_builder=lambda _function, key: f"frozen:{key}",
    )(source.text)


LIBRARIES: dict[str, Callable[[Source, Server], AbstractAsyncContextManager[Get]]] = {
    "gatewayz": _gatewayz,
    "cashews": _cashews,
    "aiocache": _aiocache,
}


async def run(server: Server, rounds: int, tell: Tell) -> list[Figure]:
    found: dict[str, dict[str, list[float]]] = {name: {} for name in Outcome.__struct_fields__}
    for turn in range(rounds):
        for library, make in LIBRARIES.items():
            server.flush()
            source = Source(seconds=LOAD)
            async with make(source, server) as get:
                outcome = await _frozen(get, source, server, FROZEN[turn % len(FROZEN)])
            for name, rounds_of in found.items():
                rounds_of.setdefault(library, []).append(getattr(outcome, name))
        tell("Redis frozen: a round is done")
    return [
        figure("Redis frozen: first request, added", "ms", found["first"], bar=Bar.at_most(50, "ms")),
        figure("Redis frozen: slowest request, added", "ms", found["most"], bar=Bar.at_most(50, "ms")),
        figure("Redis frozen: p99, added", "ms", found["p99"]),
        figure("Redis frozen: median after one second, added", "ms", found["later"], bar=Bar.at_most(1, "ms")),
        figure("Redis frozen: slowest after one second, added", "ms", found["worst_later"], bar=Bar.at_most(1, "ms")),
        figure("Redis frozen: back in use after SIGCONT", "s", found["recovery"], bar=Bar.at_most(2, "s")),
    ]


async def _frozen(get: Get, source: Source, server: Server, seconds: float) -> Outcome:
    keys = [f"k{n}" for n in range(KEYS)]
    for key in keys:
        await get(key)
    before = median(each.took for each in await _requests(get, keys, AROUND))
    began = time.monotonic()
    server.freeze()
    try:
        requests = asyncio.create_task(_requests(get, keys, seconds))
        await asyncio.sleep(seconds)
    finally:
        server.thaw()
    thawed = time.monotonic()
    recovery = await _recovery(get, keys, source, thawed)
    during = await requests
    added = [1000 * (each.took - before) for each in during]
    late = [1000 * (each.took - before) for each in during if each.at > began + 1]
    return Outcome(
        first=added[0],
        most=max(added),
        p99=percentile(sorted(added), 0.99),
        later=median(late),
        worst_later=max(late),
        recovery=recovery,
    )


async def _requests(get: Get, keys: list[str], seconds: float) -> list[Request]:
    """In the order in which they were sent."""
    until = time.monotonic() + seconds
    tasks: list[asyncio.Task[Request]] = []
    while time.monotonic() < until:
        tasks.append(asyncio.create_task(_request(get, keys[len(tasks) % KEYS])))
        await asyncio.sleep(EVERY)
    return await asyncio.gather(*tasks)


async def _request(get: Get, key: str) -> Request:
    began = time.monotonic()
    await get(key)
    return Request(began, time.monotonic() - began)


async def _recovery(get: Get, keys: list[str], source: Source, thawed: float) -> float:
    """Until ten reads in a row needed no load."""
    while time.monotonic() < thawed + RECOVERED_WITHIN:
        began, loads = time.monotonic(), source.loads
        for key in keys[:10]:
            await get(key)
        if source.loads == loads:
            return began - thawed
        await asyncio.sleep(EVERY)
    return RECOVERED_WITHIN
