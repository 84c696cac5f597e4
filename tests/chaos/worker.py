"""One worker process of a run: reads all the time, writes now and then, and writes down what it saw.

python -m tests.chaos.worker CONFIG   (the JSON of a Config)
"""

import asyncio
import math
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.counts import CacheStats
from gatewayz.cache.entity import Entity
from gatewayz.cache.errors import LoadFailed, SomeFailed
from gatewayz.cache.invalidation import Cleared
from gatewayz.core.errors import GatewayzError
from gatewayz.core.supervision import background
from gatewayz.storage.database import Database
from gatewayz.storage.election import lead
from gatewayz.storage.outbox import Outbox
from tests.chaos.history import Acknowledged, Failed, Log, Read, Stalled, Writing
from tests.chaos.world import COLD, ENTITIES, KEYS, ROWS, TOLD, Source, Thing, tag_of
from tests.support.worker_cache import worker_cache

READERS = 5
LONGEST_PAUSE = 0.02
WRITE_PAUSE = 0.4
COLD_EVERY = 1.0
COLD_CALLERS = 10
HUNG_AFTER = 25.0  # two leases of 5 s, the database's own deadlines, and a machine that stalls
BEAT = 0.1
LATE = 0.04
LOOK_AGAIN = 0.005


class Config(Struct, frozen=True):
    """`lies`: it acknowledges changes of which it has told nobody, which the checker must find out."""

    name: str
    seed: int
    redis_url: str
    database_url: str
    log: str
    doom: str
    lies: bool = False


class ChaosWorker:
    def __init__(self, config: Config, cache: Cache, database: Database, outbox: Outbox, log: Log) -> None:
        self._config = config
        self._name = config.name
        self._cache = cache
        self._database = database
        self._outbox = outbox
        self._log = log
        self._rng = random.Random(config.seed)
        self._is_over = asyncio.Event()
        self._has_read = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._is_over.set)
        await asyncio.gather(self._read_and_write(), self._watch_the_loop())

    async def _read_and_write(self) -> None:
        await asyncio.gather(
            *(self._again(self._read_one, LONGEST_PAUSE) for _ in range(READERS)),
            self._again(self._write_told, WRITE_PAUSE),
            self._again(self._write_rows, WRITE_PAUSE),
            self._ask_for_cold_keys(),
        )
        await asyncio.gather(*self._asking)
        self._has_read.set()

    async def _again(self, work: Callable[[], Awaitable[None]], pause: float) -> None:
        while not self._is_over.is_set():
            await work()
            await asyncio.sleep(self._rng.uniform(0, pause))

    async def _read_one(self) -> None:
        entity = self._rng.choice((*TOLD, *ROWS))
        key = self._rng.choice(KEYS)
        chance = self._rng.random()
        if chance < 0.2:
            began = time.monotonic()
            if (value := self._cache.peek(entity, key)) is not None:
                self._saw(entity, key, value, began)
        elif chance < 0.3:
            await self._read_many(entity, self._rng.sample(KEYS, 3))
        else:
            await self._read(entity, key)

    async def _read(self, entity: Entity[str, Thing], key: str) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(HUNG_AFTER):
                value = await self._cache.get(entity, key)
        except (LoadFailed, TimeoutError) as error:
            self._failed(entity, key, error, began)
        else:
            self._saw(entity, key, value, began)

    async def _read_many(self, entity: Entity[str, Thing], keys: list[str]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(HUNG_AFTER):
                values = await self._cache.get_many(entity, keys)
        except (SomeFailed, TimeoutError) as error:
            self._failed(entity, keys[0], error, began)
        else:
            for key in keys:
                self._saw(entity, key, values.get(key), began)

    def _saw(self, entity: Entity[str, Thing], key: str, value: Thing | None, began: float) -> None:
        ended = time.monotonic()
        if value is not None and (value.entity, value.key) != (entity.name, key):
            reason = f"the value of {value.entity} {value.key}"
            self._log.note(Failed(self._name, entity.name, key, reason, began, ended))
            return
        version = value.version if value is not None else None
        self._log.note(Read(self._name, entity.name, key, version, began, ended))

    def _failed(self, entity: Entity[str, Thing], key: str, error: BaseException, began: float) -> None:
        reason = "hung" if isinstance(error, TimeoutError) else f"error: {error} ({error.__cause__!r})"
        self._log.note(Failed(self._name, entity.name, key, reason, began, time.monotonic()))

    async def _write_told(self) -> None:
        """Change a row of which nothing but this invalidation tells."""
        entity, key = self._rng.choice(TOLD), self._rng.choice(KEYS)
        sql = "UPDATE chaos_told SET version = version + 1 WHERE key = $1 RETURNING version"
        self._will_write(TOLD, key)
        try:
            version = await self._database.fetch_value(sql, key)
        except GatewayzError:
            return  # it may have been written, which nobody claims
        if self._config.lies:
            self._acknowledged("lie", [entity.name], key, version)
            return
        how, names, cleared = await self._invalidate(entity, key)
        if cleared.everywhere:
            self._acknowledged(how, names, key, version)
        else:
            self._keep(self._until_repaired(names, key, version))

    async def _invalidate(self, entity: Entity[str, Thing], key: str) -> tuple[str, list[str], Cleared]:
        """Mostly the one key; else by its tag, or with all of an entity or of several."""
        chance, all_told = self._rng.random(), [each.name for each in TOLD]
        if chance < 0.2:
            return "tag", all_told, await self._cache.invalidate_tag(tag_of(key))
        if chance < 0.25:
            return "entity", [entity.name], await self._cache.invalidate(entity)
        if chance < 0.3:
            return "prefix", all_told, await self._cache.clear("told-")
        return "key", [entity.name], await self._cache.invalidate(entity, key)

    async def _until_repaired(self, names: list[str], key: str, version: int) -> None:
        while self._cache.stats().unsent:
            if self._is_over.is_set():
                return
            await asyncio.sleep(LOOK_AGAIN)
        self._acknowledged("repair", names, key, version, is_certain=False)

    async def _write_rows(self) -> None:
        """Change a row as a feature does, in the outbox's transaction."""
        key = self._rng.choice(KEYS)
        sql = """UPDATE chaos_rows SET version = version + 1 WHERE key = $1
                 RETURNING version, pg_current_xact_id()::text AS xact"""
        self._will_write(ROWS, key)
        try:
            async with self._outbox.transaction() as connection:
                row = await connection.fetchrow(sql, key)
            await self._until_applied(row["xact"])
        except GatewayzError:
            return
        self._acknowledged("transaction", [each.name for each in ROWS], key, row["version"])

    async def _until_applied(self, xact: str) -> None:
        left = "SELECT EXISTS (SELECT FROM cache_outbox WHERE xact = $1::text::xid8)"
        while await self._database.fetch_value(left, xact):  # noqa: ASYNC110  what is awaited happens in the database
            await asyncio.sleep(LOOK_AGAIN)

    def _will_write(self, entities: tuple[Entity[str, Thing], ...], key: str) -> None:
        for entity in entities:
            self._log.note(Writing(entity.name, key, time.monotonic()))

    def _acknowledged(self, way: str, names: list[str], key: str, version: int, *, is_certain: bool = True) -> None:
        now = time.monotonic()
        for name in names:
            self._log.note(Acknowledged(way, name, key, version, now, is_certain))

    async def _ask_for_cold_keys(self) -> None:
        """At the same moments in all workers, many at once for a key that nobody has read before."""
        while not self._is_over.is_set():
            number = math.floor(time.monotonic() / COLD_EVERY) + 1
            await asyncio.sleep(number * COLD_EVERY - time.monotonic())
            for _ in range(COLD_CALLERS):
                self._keep(self._read(COLD, f"cold-{number}"))

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _watch_the_loop(self) -> None:
        """To the end, when a loop stalls as anywhere."""
        slow = 0
        while not self._has_read.is_set():
            began = time.monotonic()
            await asyncio.sleep(BEAT)
            stats = self._cache.stats()
            errors = stats.l2_errors.get("timeout", 0) + stats.l2_opened
            if time.monotonic() - began > BEAT + LATE or errors > slow:
                self._log.note(Stalled(self._name, began, time.monotonic()))
            slow = errors


def _redis_as_seen(stats: CacheStats) -> str:
    return f"{stats.l2} {stats.l2_errors} {stats.unsent} unsent"


async def main(config: Config) -> None:
    async with AsyncExitStack() as stack:
        log = Log(Path(config.log))
        stack.callback(log.close)
        database = Database(config.database_url, pool_size=6, connect_timeout=1, command_timeout=3)
        await database.open()
        stack.push_async_callback(database.close)
        source = Source(database, log, config.name, random.Random(config.seed + 1), Path(config.doom))
        cache = await stack.enter_async_context(
            worker_cache(
                ENTITIES,
                source,
                redis_url=config.redis_url,
                database_url=config.database_url,
                seed=config.seed,
                connect_timeout=1,
            )
        )
        source.redis = lambda: _redis_as_seen(cache.stats())
        outbox = Outbox(database, cache.apply, [entity.name for entity in ENTITIES])
        cache.on_rows_changed(outbox.wake)
        await cache.start()
        relay = background({"relay": (lambda: lead(config.database_url, "cache outbox", outbox.relay), 0.5)})
        await stack.enter_async_context(relay)
        await ChaosWorker(config, cache, database, outbox, log).run()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Config)))
