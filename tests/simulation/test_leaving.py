"""A caller leaves, or the cache is closed, at every moment at which that can happen."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import LoadFailed, SomeFailed
from tests.simulation.source import BATCHED, ENTITIES, STRICT, Row
from tests.simulation.world import Plan, Secrets, Worker, World, random_from

Act = Callable[[Cache], Awaitable[object]]

ACTS: dict[str, Act] = {
    "get": lambda cache: cache.get(STRICT, "a"),
    "get many": lambda cache: cache.get_many(BATCHED, ["a", "b", "c"]),
    "refresh": lambda cache: cache.refresh(STRICT, "a"),
    "invalidate": lambda cache: cache.invalidate(STRICT, "a"),
    "invalidate all": lambda cache: cache.invalidate(BATCHED),
}

KINDS = {
    "alone": Plan(without_redis=1, faults=(), workers=2),
    "with Redis": Plan(without_redis=0, without_bus=1, faults=(), workers=2),
    "with Redis and bus": Plan(without_redis=0, without_bus=0, faults=(), workers=2),
}


class Scene:
    """Two workers; in the first somebody acts, and others of both want the same."""

    def __init__(self, plan: Plan, act: Act, *, is_warm: bool) -> None:
        self.world = World(1, plan)
        self._act = act
        self._is_warm = is_warm
        self._is_left = False
        self.was_interrupted = False

    def play(self, after: int, interrupt: Callable[["Scene", "asyncio.Task[object]"], object]) -> None:
        secrets = Secrets(random.Random(1))
        with random_from(secrets):
            self.world.loop.run_until_complete(self._play(after, interrupt), until=1000)
        assert self.world.loop.failures == []
        assert self.world.checker.violations == []

    async def _play(self, after: int, interrupt: Callable[["Scene", "asyncio.Task[object]"], object]) -> None:
        world = self.world
        for _ in range(2):
            world.start_worker()
        await asyncio.sleep(1)
        if self._is_warm:
            for worker in world.workers:
                for entity in ENTITIES:
                    await worker.cache.get(entity, "a")
        acting = world.loop.create_task(_acted(self._act, world.workers[0].cache))
        others = [world.loop.create_task(_wants(worker)) for worker in world.workers for _ in range(2)]

        def strike() -> None:
            self.was_interrupted = not acting.done()
            interrupt(self, acting)

        world.loop.interrupt(world.loop.turns + after, strike)
        await asyncio.wait([acting, *others], timeout=60)
        await self._check(acting, others)

    def leave(self, acting: "asyncio.Task[object]") -> None:
        self._is_left = True
        acting.cancel()

    def close(self, _acting: "asyncio.Task[object]") -> None:
        self.world.background(self.world.workers.pop(0).cache.close())

    async def _check(self, acting: "asyncio.Task[object]", others: "list[asyncio.Task[object]]") -> None:
        truth = [Row("a", 0), {key: Row(key, 0) for key in ("a", "b", "c")}]
        assert acting.done()
        assert acting.cancelled() is (self._is_left and self.was_interrupted)
        for other in others:
            assert other.result() in (truth, "closed")
        await asyncio.sleep(20)
        for worker in self.world.workers:
            self.world.checker.validate(worker)
            await worker.cache.close()
        await asyncio.sleep(5)
        assert self.world.loop.timers() == []


async def _acted(act: Act, cache: Cache) -> object:
    return await act(cache)


async def _wants(worker: Worker) -> object:
    try:
        return [await worker.cache.get(STRICT, "a"), await worker.cache.get_many(BATCHED, ["a", "b", "c"])]
    except (LoadFailed, SomeFailed):
        return "closed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("act", ACTS)
def test_who_leaves_at_any_moment_harms_nobody(act: str, kind: str, *, is_warm: bool) -> None:
    for moment in itertools.count(1):
        scene = Scene(KINDS[kind], ACTS[act], is_warm=is_warm)
        scene.play(moment, Scene.leave)
        if not scene.was_interrupted:
            break


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("act", ACTS)
def test_a_cache_that_is_closed_at_any_moment_keeps_nobody_waiting(act: str, kind: str, *, is_warm: bool) -> None:
    for moment in itertools.count(1):
        scene = Scene(KINDS[kind], ACTS[act], is_warm=is_warm)
        scene.play(moment, Scene.close)
        if not scene.was_interrupted:
            break
