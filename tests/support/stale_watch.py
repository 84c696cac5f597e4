"""Readers and writers that never rest, and each read that returned less than was confirmed before it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gatewayz.cache.cache import Cache
from tests.support.cache_world import STRICT, Source, Thing, eventually


class SlowSource(Source):
    """What it returns was read some turns of the loop before."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    async def read(self, key: str) -> Thing | None:
        version = self.rows[key]
        self.loads.append(key)
        for _ in range(self._rng.randrange(6)):
            await asyncio.sleep(0)
        return Thing(key, version)


class StaleWatch:
    """One writer for each key. `stale` says what was read too late; `reads` and `writes` count by key."""

    def __init__(self, workers: Sequence[Cache], source: Source, rng: random.Random, *, whole_every: int = 0) -> None:
        self._workers = workers
        self._source = source
        self._rng = rng
        self._whole_every = whole_every
        self._confirmed = dict(source.rows)
        self._is_over = False
        self.stale: list[str] = []
        self.reads = 0
        self.writes = 0

    async def read(self, worker: Cache) -> None:
        keys = [*self._source.rows]
        while not self._is_over:
            key = self._rng.choice(keys)
            at_least = self._confirmed[key]
            thing = await worker.get(STRICT, key)
            assert thing is not None
            if thing.version < at_least:
                self.stale.append(f"{key}: {thing.version} after {at_least}")
            self.reads += 1
            await asyncio.sleep(0)

    async def write(self, key: str) -> None:
        while not self._is_over:
            worker = self._rng.choice(self._workers)
            self._source.rows[key] += 1
            version = self._source.rows[key]
            self.writes += 1
            is_whole = self._whole_every and self.writes % self._whole_every == 0
            cleared = await (worker.invalidate(STRICT) if is_whole else worker.invalidate(STRICT, key))
            if cleared.everywhere:
                self._confirmed[key] = version
            for _ in range(self._rng.randrange(40)):
                await asyncio.sleep(0)

    async def goes_on(self, times: int) -> None:
        """Until so many more writes and ten times so many reads were made."""
        reads, writes = self.reads + 10 * times, self.writes + times
        await eventually(lambda: self.reads >= reads and self.writes >= writes)

    def stop(self) -> None:
        self._is_over = True


@asynccontextmanager
async def watched(
    workers: Sequence[Cache], source: Source, *, seed: int = 1, whole_every: int = 0
) -> AsyncIterator[StaleWatch]:
    """Fails at the end if any read was stale."""
    watch = StaleWatch(workers, source, random.Random(seed), whole_every=whole_every)
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(watch.read(worker))
        for key in source.rows:
            tasks.create_task(watch.write(key))
        try:
            yield watch
        finally:
            watch.stop()
    assert not watch.stale, watch.stale[:10]
