"""What callers do, by weight: a table, so that one more is one entry."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from gatewayz.cache.entity import ALL, Entity, Every
from gatewayz.cache.errors import LoadFailed, SomeFailed
from tests.simulation.source import BATCHED, ENTITIES, KEYS, LENIENT, STORED, TAGGED, Row, tag_of

if TYPE_CHECKING:
    from tests.simulation.world import Change, Worker, World


change_shared = setattr
"""How a caller would change an object; what is frozen refuses."""


class Operation(Struct, frozen=True):
    """`run` is one caller; `is_left`: its caller may be cancelled at any moment."""

    name: str
    weight: float
    run: "Callable[[World, Worker], Awaitable[object]]"
    is_left: bool = False


async def _get(world: "World", worker: "Worker") -> object:
    entity, key = world.rng.choice(ENTITIES), world.rng.choice(KEYS)
    return await _read(world, worker, entity, key)


async def _read(world: "World", worker: "Worker", entity: Entity[str, Row], key: str) -> object:
    began, floor = world.loop.time(), world.checker.floor(worker, entity, key)
    try:
        row = await worker.cache.get(entity, key)
    except LoadFailed as error:
        return world.load_failed(worker, began, error)
    if not worker.is_dead:
        world.checker.read(worker, entity, key, floor, began, row)
    return entity.name, key, row


async def _get_many(world: "World", worker: "Worker") -> object:
    entity, began = world.rng.choice([BATCHED, LENIENT, TAGGED]), world.loop.time()
    keys = world.rng.sample(KEYS, world.rng.randint(1, len(KEYS)))
    floors = [world.checker.floor(worker, entity, key) for key in keys]
    try:
        rows = await worker.cache.get_many(entity, keys)
    except SomeFailed as some:
        return [world.load_failed(worker, began, error) for error in some.failures.values()]
    if not worker.is_dead:
        for key, floor in zip(keys, floors, strict=True):
            world.checker.read(worker, entity, key, floor, began, rows.get(key))
    return entity.name, rows


async def _peek(world: "World", worker: "Worker") -> object:
    entity, key = world.rng.choice(ENTITIES), world.rng.choice(KEYS)
    row = worker.cache.peek(entity, key)
    if row is not None:
        floor = world.checker.floor(worker, entity, key)
        world.checker.read(worker, entity, key, floor, world.loop.time(), row)
    return entity.name, key, row


async def _refresh(world: "World", worker: "Worker") -> object:
    entity, key, began = world.rng.choice(ENTITIES), world.rng.choice(KEYS), world.loop.time()
    floor = world.checker.floor(worker, entity, key)
    try:
        row = await worker.cache.refresh(entity, key)
    except LoadFailed as error:
        return world.load_failed(worker, began, error)
    if not worker.is_dead:
        world.checker.read(worker, entity, key, floor, began, row)
    return entity.name, key, row


async def _refresh_due(world: "World", worker: "Worker") -> object:
    began = world.loop.time()
    try:
        return await worker.cache.refresh_due()
    except LoadFailed as error:
        return world.load_failed(worker, began, error)


async def _write(world: "World", worker: "Worker") -> object:
    """A writer who invalidates himself; should he not come to it, the relay does."""
    entity, key = world.rng.choice(STORED), world.rng.choice(KEYS)
    change = world.commit(entity.name, key)
    cleared = await worker.cache.invalidate(entity, key, floor=change.position)
    return _done(world, worker, [change], everywhere=cleared.everywhere)


async def _write_many(world: "World", worker: "Worker") -> object:
    entity = world.rng.choice(STORED)
    changes = [world.commit(entity.name, key) for key in KEYS if world.rng.random() < 0.7]
    floor = max((change.position for change in changes), default=0)
    cleared = await worker.cache.invalidate(entity, ALL, floor=floor)
    return _done(world, worker, changes, everywhere=cleared.everywhere)


async def _write_tagged(world: "World", worker: "Worker") -> object:
    """Several rows at once that carry one tag."""
    tag = tag_of(world.rng.choice(KEYS))
    changes = [world.commit(TAGGED.name, key) for key in KEYS if tag_of(key) == tag]
    cleared = await worker.cache.invalidate_tag(tag, floor=changes[-1].position)
    return _done(world, worker, changes, everywhere=cleared.everywhere)


def _done(world: "World", worker: "Worker", changes: "list[Change]", *, everywhere: bool) -> object:
    if everywhere and not worker.is_dead:
        for change in changes:
            world.confirm(change)
    return changes, everywhere


async def _change_rows(world: "World", _worker: "Worker") -> object:
    """Somebody else writes; the relay does the rest."""
    return world.commit(world.rng.choice(STORED).name, world.rng.choice(KEYS))


async def _invalidate(world: "World", worker: "Worker") -> object:
    """Nothing has changed, and somebody clears."""
    entity = world.rng.choice(STORED)
    anything: list[str | Every] = [*KEYS, ALL]
    return await worker.cache.invalidate(entity, world.rng.choice(anything))


async def _explain(world: "World", worker: "Worker") -> object:
    await worker.cache.explain(world.rng.choice(ENTITIES), world.rng.choice(KEYS))
    return None


async def _meddle(world: "World", worker: "Worker") -> object:
    """A caller who would change the object that all share."""
    row = worker.cache.peek(world.rng.choice(ENTITIES), world.rng.choice(KEYS))
    if row is not None:
        try:
            change_shared(row, "version", 1_000_000)
        except AttributeError:
            return "refused"
    return row


OPERATIONS = (
    Operation("get", 30, _get),
    Operation("get and leave", 6, _get, is_left=True),
    Operation("get many", 10, _get_many),
    Operation("get many and leave", 3, _get_many, is_left=True),
    Operation("peek", 12, _peek),
    Operation("refresh", 3, _refresh),
    Operation("refresh and leave", 1, _refresh, is_left=True),
    Operation("refresh due", 1, _refresh_due),
    Operation("write", 8, _write),
    Operation("write and leave", 2, _write, is_left=True),
    Operation("write many", 2, _write_many),
    Operation("write tagged", 3, _write_tagged),
    Operation("change rows", 3, _change_rows),
    Operation("invalidate", 1, _invalidate),
    Operation("explain", 1, _explain),
    Operation("meddle", 1, _meddle),
)
