"""What goes wrong, each with how long: a table, so that one more is one entry."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from tests.simulation.bus import NOTICED_WITHIN

if TYPE_CHECKING:
    from tests.simulation.world import Worker, World


class Fault(Struct, frozen=True):
    """`begin` starts it; it ends by itself within the seconds that it returns. `hides`: meanwhile, and for a while
    after, a worker may not be able to ask Redis. `needs_bus`: so long that values are loaded of which Redis does not
    know.
    """

    name: str
    begin: "Callable[[World], float]"
    weight: float = 1.0
    hides: bool = True
    needs_bus: bool = True


def _freeze(world: "World") -> float:
    lasts = world.rng.choice([0.02, 0.1, 0.5, 3.0])
    world.network.freeze()
    world.at_end(lasts, world.network.thaw)
    return lasts


def _flush(world: "World") -> float:
    world.server.flush()
    return 0


def _forget_scripts(world: "World") -> float:
    world.server.scripts.clear()
    return 0


def _restart(world: "World") -> float:
    down_for = world.rng.choice([0.0, 0.2, 1.5])
    world.network.restart(down_for=down_for)
    return down_for


def _kill_connections(world: "World") -> float:
    for connection in list(world.network.connections):
        if world.rng.random() < 0.5:
            connection.reset()
    return 0


def _evict(world: "World") -> float:
    keys = list(world.server.data)
    for key in world.rng.sample(keys, min(len(keys), world.rng.randint(1, 4))):
        world.server.evict(key)
    return 0


def _expire(world: "World") -> float:
    """What Redis does now and then, with some of the keys."""
    for key in list(world.server.expires):
        if world.server.is_expired(key) and world.rng.random() < 0.5:
            world.server.evict(key)
    return 0


def _fill_up(world: "World") -> float:
    lasts = world.rng.choice([0.1, 2.0])
    world.server.is_full = True

    def end() -> None:
        world.server.is_full = False

    world.at_end(lasts, end)
    return lasts


def _slow(world: "World") -> float:
    world.network.slowness = world.rng.choice([10, 100])

    def end() -> None:
        world.network.slowness = 1

    world.at_end(1.0, end)
    return 1.0


def _stall(world: "World") -> float:
    """One direction of a worker's connections holds everything back, and lets it go later."""
    worker, lasts = _someone(world), world.rng.choice([0.01, 0.06, 0.5, 1.5])
    direction = world.rng.choice(["up", "down"])
    pipes = [getattr(connection, direction) for connection in world.network.of(worker)]
    for pipe in pipes:
        pipe.stall()
        world.at_end(lasts, pipe.flow)
    return lasts


def _hold(world: "World") -> float:
    """What Redis sends to a worker is held back for less than any deadline, and then comes all at once."""
    lasts = 0.005 + 0.015 * world.rng.random()
    if world.loop.time() < world.held_until:
        return 0
    world.held_until = world.loop.time() + 0.1  # one after the other would outlast a deadline
    for connection in world.network.of(_someone(world)):
        connection.down.stall()
        world.at_end(lasts, connection.down.flow)
    return lasts


def _cut(world: "World") -> float:
    """One direction of a worker's connections is dead, and nobody is told."""
    direction = world.rng.choice(["up", "down"])
    for connection in world.network.of(_someone(world)):
        getattr(connection, direction).cut()
    return 3.0


def _bus_down(world: "World") -> float:
    lasts = world.rng.choice([0.1, 1.0])
    world.hub.fall()
    world.at_end(lasts, world.hub.rise)
    return lasts


def _bus_lost(world: "World") -> float:
    _someone(world).bus.lose(after=0.0)
    return 0


def _bus_lost_unseen(world: "World") -> float:
    after = NOTICED_WITHIN * world.rng.random()
    _someone(world).bus.lose(after=after)
    return after


def _cut_off(world: "World") -> float:
    """A worker reaches neither Redis nor the others, and notices neither at once."""
    worker, lasts = _someone(world), world.rng.choice([0.5, 4.0])
    for connection in world.network.of(worker):
        connection.up.cut()
        connection.down.cut()
    world.network.unreachable.add(worker)
    worker.bus.is_unreachable = True
    after = NOTICED_WITHIN * world.rng.random()
    worker.bus.lose(after=after)

    def end() -> None:
        world.network.unreachable.discard(worker)
        worker.bus.is_unreachable = worker.is_dead

    world.at_end(lasts, end)
    return max(lasts, 3.0)


def _source_fails(world: "World") -> float:
    lasts = world.rng.choice([0.05, 1.0])
    world.source_is_failing = True
    world.source_failed_until = max(world.source_failed_until, world.loop.time() + lasts)

    def end() -> None:
        world.source_is_failing = False

    world.at_end(lasts, end)
    return lasts


def _slow_source(world: "World") -> float:
    """Loads that outlast their lease."""
    world.slowest_load = 4.0

    def end() -> None:
        world.slowest_load = world.plan.slowest_load

    world.at_end(3.0, end)
    return 3.0


def _crash(world: "World") -> float:
    if len(world.workers) > 1:
        worker = _someone(world)
        worker.crash()
        world.workers.remove(worker)
        world.at_end(world.rng.choice([0.01, 1.0]), world.start_worker)
    return 1.0


def _fail_over(world: "World") -> float:
    """Another node takes over, which had not yet heard the last of the writes."""
    data, expires = copy.deepcopy(world.server.data), dict(world.server.expires)

    def take_over() -> None:
        world.network.restart(down_for=0.0)
        world.server.data, world.server.expires = data, expires

    world.at_end(world.rng.random() * 0.2, take_over)
    return 0.2


def _someone(world: "World") -> "Worker":
    return world.rng.choice(world.workers)


FAULTS = (
    Fault("freeze", _freeze),
    Fault("flush", _flush, hides=False, needs_bus=False),
    Fault("forget scripts", _forget_scripts, hides=False, needs_bus=False),
    Fault("restart", _restart),
    Fault("kill connections", _kill_connections),
    Fault("evict", _evict, 2, hides=False, needs_bus=False),
    Fault("expire", _expire, 4, hides=False, needs_bus=False),
    Fault("full", _fill_up),
    Fault("slow", _slow),
    Fault("stall", _stall, 2),
    Fault("hold", _hold, 3, hides=False, needs_bus=False),
    Fault("cut", _cut),
    Fault("bus down", _bus_down),
    Fault("bus lost", _bus_lost),
    Fault("bus lost unseen", _bus_lost_unseen),
    Fault("cut off", _cut_off),
    Fault("source fails", _source_fails, hides=False, needs_bus=False),
    Fault("slow source", _slow_source, hides=False, needs_bus=False),
    Fault("crash", _crash, hides=False, needs_bus=False),
)
FAIL_OVER = Fault("fail over", _fail_over)
BY_NAME = {fault.name: fault for fault in FAULTS}
