"""How long an invalidation takes to the last of four workers, and an UPDATE that knows nothing of caches."""

import asyncio
import time
from contextlib import AsyncExitStack

from benchmarks.micro.row_changes import installed, lag
from benchmarks.options import Tell
from benchmarks.peers.ours import VALUE, Source, ours
from benchmarks.peers.rounds import OURS, figure, percentile
from benchmarks.peers.server import Server
from benchmarks.result import Bar, Figure

WORKERS = 4


async def run(server: Server, rounds: int, tell: Tell) -> list[Figure]:
    """The workers share this process: what they do in turn here, they do side by side elsewhere."""
    server.flush()
    p50, p99, by_hand50, by_hand99 = [], [], [], []
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(ours(Source(), server.url)) for _ in range(WORKERS)]
        for _ in range(rounds):
            times = []
            for _ in range(300):
                for each in workers:
                    await each.get(VALUE, "k")
                began = time.perf_counter()
                invalidating = asyncio.create_task(workers[0].invalidate(VALUE, "k"))
                while any(each.peek(VALUE, "k") for each in workers):  # noqa: ASYNC110  the moment is measured
                    await asyncio.sleep(0)
                times.append(1000 * (time.perf_counter() - began))
                await invalidating
            times.sort()
            p50.append(percentile(times, 0.5))
            p99.append(percentile(times, 0.99))
    tell("lag of an invalidation: done")
    async with installed() as settings:
        for _ in range(rounds):
            times = sorted(await lag(settings))
            by_hand50.append(percentile(times, 0.5))
            by_hand99.append(percentile(times, 0.99))
    tell("lag of an UPDATE: done")
    return [
        figure("invalidation to the last of 4 workers, p50", "ms", {OURS: p50}, bar=Bar.at_most(1, "ms")),
        figure("invalidation to the last of 4 workers, p99", "ms", {OURS: p99}, bar=Bar.at_most(5, "ms")),
        figure("UPDATE by psql to the last of 4 workers, p50", "ms", {OURS: by_hand50}),
        figure("UPDATE by psql to the last of 4 workers, p99", "ms", {OURS: by_hand99}, bar=Bar.at_most(50, "ms")),
    ]
