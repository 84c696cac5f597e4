"""G3: many callers in many workers on one cold key, again and again; some leaders die, some loads fail."""

import asyncio
import random

from msgspec import Struct

from gatewayz.cache.entity import Entity
from gatewayz.cache.errors import LoadFailed
from tests.simulation.checker import LOADS_WITHIN
from tests.simulation.source import LENIENT, STRICT, Row
from tests.simulation.world import Plan, Secrets, World, random_from

CALLERS = 12
SPREAD = 0.05


class Herd(Struct, frozen=True):
    """What one seed came to. `violations` as in a history."""

    rounds: int
    loads: int
    violations: list[str]


def herd(seed: int, rounds: int, *, killing: bool) -> Herd:
    """Each round a cold key, callers that come within SPREAD seconds, and a leader that dies, if it is `killing`."""
    plan = Plan(without_redis=0, without_bus=0.5, faults=(), workers=4, absences=0.0)
    world = World(seed, plan)
    secrets = Secrets(random.Random(seed))
    with random_from(secrets):
        loads = world.loop.run_until_complete(_rounds(world, rounds, killing=killing), until=100_000)
    return Herd(rounds, loads, world.checker.violations)


async def _rounds(world: World, rounds: int, *, killing: bool) -> int:
    for _ in range(4):
        world.start_worker()
    for worker in world.workers:  # a worker that knows no generation yet may load once by itself
        for entity in (STRICT, LENIENT):
            await worker.cache.get(entity, "b")
    world.slowest_load = 0.2
    total = 0
    for _ in range(rounds):
        entity = world.rng.choice([STRICT, LENIENT])
        change = world.commit(entity.name, "a")
        await world.rng.choice(world.workers).cache.invalidate(entity, "a")
        world.confirm(change)
        await asyncio.sleep(0.2)
        world.loads.clear()
        began = world.loop.time()
        callers = [world.background(_caller(world, entity)) for _ in range(CALLERS)]
        killed = await _kill_the_leader(world) if killing else 0
        await asyncio.wait(callers)
        took = world.loop.time() - began
        loads = world.loads.count((entity.name, "a"))
        total += loads
        if not 1 <= loads <= 1 + killed:
            world.checker.fail(f"{loads} loads, {killed} leaders killed")
        if took > LOADS_WITHIN:
            world.checker.fail(f"{took:.1f} s until the last caller was answered")
        await _full_again(world)
    await asyncio.sleep(LOADS_WITHIN)
    for worker in world.workers:
        world.checker.validate(worker)
        await worker.cache.close()
    return total


async def _caller(world: World, entity: Entity[str, Row]) -> None:
    await asyncio.sleep(world.rng.random() * SPREAD)
    worker = world.rng.choice(world.workers)
    try:
        row = await worker.cache.get(entity, "a")
    except (LoadFailed, asyncio.CancelledError):
        if worker.is_dead:
            return
        raise
    newest = world.tables[entity.name].versions["a"]
    if row != Row("a", newest):
        world.checker.fail(f"{worker.name} got {row}, the newest is {newest}")


async def _kill_the_leader(world: World) -> int:
    """How many died while they loaded."""
    await asyncio.sleep(world.rng.random() * SPREAD)
    leaders = [worker for worker in world.workers if worker.source.loading]
    for worker in leaders:
        world.workers.remove(worker)
        worker.crash()
    return len(leaders)


async def _full_again(world: World) -> None:
    while len(world.workers) < 4:
        world.start_worker()
        for entity in (STRICT, LENIENT):
            await world.workers[-1].cache.get(entity, "b")
