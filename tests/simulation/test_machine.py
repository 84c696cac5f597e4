"""One cache against a dictionary, by a machine that tries to tell them apart."""

import random
from collections.abc import Awaitable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct

from gatewayz.cache.entity import ALL, Entity
from tests.simulation.faults import BY_NAME
from tests.simulation.source import BATCHED, KEYS, STORED, STRICT, Row
from tests.simulation.world import Plan, Secrets, Worker, World, random_from
from tests.support.l1_check import checked_memory

T = TypeVar("T")

SURELY = 0.89
"""Of a policy's time, which differs by a tenth, what surely holds; twice as much is surely over."""

Key = st.sampled_from(KEYS)
Cached = st.sampled_from([STRICT, BATCHED])


class Known(Struct, frozen=True):
    """What was read, and when it was loaded at the latest."""

    row: Row | None
    at: float
    is_kept: bool = True


class CacheMachine(RuleBasedStateMachine):
    """`known` is the dictionary: what a read must give as long as it is fresh, nothing died and no server lost it."""

    has_redis = False

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        plan = Plan(without_redis=0 if self.has_redis else 1, without_bus=1, faults=(), absences=0.3, skew=0)
        self.secrets = Secrets(random.Random(seed))
        self.world = World(seed, plan)
        self.known: dict[tuple[str, str], Known] = {}
        self.run(self._start())

    async def _start(self) -> None:
        self.world.start_worker()
        await _slept(self.world, 1)

    @property
    def worker(self) -> Worker:
        return self.world.workers[0]

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        with random_from(self.secrets):
            return self.world.loop.run_until_complete(awaited(), until=self.world.loop.time() + 60)

    @rule(entity=Cached, key=Key)
    def get(self, entity: Entity[str, Row], key: str) -> None:
        self._has_read(entity, key, self.run(self.worker.cache.get(entity, key)))

    @rule(entity=Cached, keys=st.lists(Key))
    def get_many(self, entity: Entity[str, Row], keys: list[str]) -> None:
        rows = self.run(self.worker.cache.get_many(entity, keys))
        assert rows.keys() <= set(keys)
        for key in dict.fromkeys(keys):
            self._has_read(entity, key, rows.get(key))

    @rule(entity=Cached, key=Key)
    def refresh(self, entity: Entity[str, Row], key: str) -> None:
        row = self.run(self.worker.cache.refresh(entity, key))
        assert row == self._truth(entity, key)
        self.known[entity.name, key] = Known(row, self._now)

    @rule(entity=Cached, key=Key)
    def peek(self, entity: Entity[str, Row], key: str) -> None:
        row = self.worker.cache.peek(entity, key)
        known = self.known.get((entity.name, key))
        assert row is None or (known is not None and row == known.row)

    @rule(entity=st.sampled_from(STORED), key=Key)
    def write(self, entity: Entity[str, Row], key: str) -> None:
        """Nobody is told: whoever has the older row may go on with it."""
        self.world.tables[entity.name].write(key, self._now, absent=self.world.rng.random() < 0.3)

    @rule(entity=Cached, key=Key)
    def invalidate(self, entity: Entity[str, Row], key: str) -> None:
        assert self.run(self.worker.cache.invalidate(entity, key)).everywhere
        self.known.pop((entity.name, key), None)

    @rule(entity=Cached)
    def invalidate_all(self, entity: Entity[str, Row]) -> None:
        assert self.run(self.worker.cache.invalidate(entity, ALL)).everywhere
        for key in KEYS:
            self.known.pop((entity.name, key), None)

    @rule(seconds=st.sampled_from([0.001, 0.5, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.run(_slept(self.world, seconds))

    @rule(fault=st.sampled_from(["flush", "evict", "expire"]))
    def lose(self, fault: str) -> None:
        """What Redis has lost may be loaded anew before its time."""
        if self.has_redis:
            BY_NAME[fault].begin(self.world)
            self.known = {which: Known(known.row, known.at, is_kept=False) for which, known in self.known.items()}

    @invariant()
    def its_memory_is_in_order(self) -> None:
        if hasattr(self, "world"):
            checked_memory(self.worker.cache)
            assert self.world.loop.failures == []

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.worker.cache.close())

    @property
    def _now(self) -> float:
        return self.world.loop.time()

    def _truth(self, entity: Entity[str, Row], key: str) -> Row | None:
        return self.world.tables[entity.name].row(key)

    def _has_read(self, entity: Entity[str, Row], key: str, row: Row | None) -> None:
        known, truth = self.known.get((entity.name, key)), self._truth(entity, key)
        if known is None:
            assert row == truth
        else:
            lasts = entity.policy.absent if known.row is None else entity.policy.fresh
            age = self._now - known.at
            if known.is_kept and age < SURELY * lasts:
                assert row == known.row
            elif age > 2 * lasts:
                assert row == truth
            else:
                assert row in (known.row, truth)
            if row == known.row != truth or (row == known.row and age < SURELY * lasts and known.is_kept):
                return  # still what it was
            if row == known.row:
                self.known[entity.name, key] = Known(row, self._now, is_kept=False)  # it may be either
                return
        self.known[entity.name, key] = Known(row, self._now)


class CacheWithRedisMachine(CacheMachine):
    has_redis = True


async def _slept(world: World, seconds: float) -> None:
    future = world.loop.create_future()
    world.loop.call_later(seconds, future.set_result, None)
    await future


CacheMachine.TestCase.settings = CacheWithRedisMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestCacheAlone = CacheMachine.TestCase
TestCacheWithRedis = CacheWithRedisMachine.TestCase
