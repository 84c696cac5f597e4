"""What is cached in the simulation: rows with versions, entities over them, and loaders that take their time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Loaded, Policy, required_position, same_key

if TYPE_CHECKING:
    from tests.simulation.world import World

KEYS = ("a", "b", "c")


class Row(Struct, frozen=True):
    key: str
    version: int


class SourceDown(Exception):
    """The simulated database does not answer."""


class Table:
    """Rows by key, with all their versions; those in `absent` say that there is none."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.versions = dict.fromkeys(KEYS, 0)
        self.absent: set[tuple[str, int]] = set()
        self._written: list[tuple[float, str]] = []

    def write(self, key: str, at: float, *, absent: bool) -> int:
        version = self.versions[key] = self.versions[key] + 1
        self._written.append((at, key))
        if absent:
            self.absent.add((key, version))
        return version

    def row(self, key: str) -> Row | None:
        return self.row_at(key, self.versions[key])

    def row_then(self, key: str, at: float) -> Row | None:
        """As it was at that time."""
        return self.row_at(key, sum(key == each and then <= at for then, each in self._written))

    def row_at(self, key: str, version: int) -> Row | None:
        return None if (key, version) in self.absent else Row(key, version)


class Source:
    """One worker's way to the database, and to its own cache for loaders that read through it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.is_dead = False
        self.loading = 0
        self.cache: Cache | None = None

    async def read(self, table: Table, keys: Sequence[str]) -> list[Loaded[Row]]:
        """What stands there at one moment between the call and its end, and how far the database had come by then."""
        world = self.world
        world.loads.extend((table.name, key) for key in keys)
        self.loading += 1
        try:
            await self.pause()
            at, position = world.readable(required_position())
            rows = [table.row_then(key, at) for key in keys]
            await self.pause()
        finally:
            self.loading -= 1
        if world.source_is_failing:
            raise SourceDown
        return [
            Loaded(value=row, position=position, tags=(tag_of(key),) if table.name == TAGGED.name else ())
            for key, row in zip(keys, rows, strict=True)
        ]

    async def pause(self) -> None:
        await asyncio.sleep(self.world.load_delay())
        if self.is_dead:
            await asyncio.get_running_loop().create_future()  # its process is gone


def _one(name: str) -> Callable[[Source, str], Awaitable[Loaded[Row]]]:
    async def load(source: Source, key: str) -> Loaded[Row]:
        (loaded,) = await source.read(source.world.tables[name], [key])
        return loaded

    return load


def _many(name: str) -> Callable[[Source, Sequence[str]], Awaitable[dict[str, Loaded[Row]]]]:
    async def load(source: Source, keys: Sequence[str]) -> dict[str, Loaded[Row]]:
        return dict(zip(keys, await source.read(source.world.tables[name], keys), strict=True))

    return load


async def _derived(source: Source, key: str) -> Row | None:
    assert source.cache is not None
    await source.pause()
    row = await source.cache.get(STRICT, key)
    await source.pause()
    return row


STRICT = Entity(name="sim:strict", value=Row, load=_one("sim:strict"), policy=Policy(fresh=6, absent=3, l1_max=4))
LENIENT = Entity(
    name="sim:lenient",
    value=Row,
    load=_one("sim:lenient"),
    policy=Policy(fresh=4, stale=20, absent=3, refresh_at=3, l1_max=2),
)
BATCHED = Entity(
    name="sim:batched",
    value=Row,
    load=_one("sim:batched"),
    load_many=_many("sim:batched"),
    policy=Policy(fresh=6, absent=3),
)
DERIVED = Entity(
    name="sim:derived", value=Row, load=_derived, policy=Policy(fresh=6, absent=3), hangs_on=(same_key(STRICT),)
)

TAGGED = Entity(
    name="sim:tagged",
    value=Row,
    load=_one("sim:tagged"),
    load_many=_many("sim:tagged"),
    policy=Policy(fresh=6, stale=10, absent=3, l1_max=4),
    tags=("half",),
)

STORED: tuple[Entity[str, Row], ...] = (STRICT, LENIENT, BATCHED, TAGGED)
ENTITIES: tuple[Entity[str, Row], ...] = (*STORED, DERIVED)


def tag_of(key: str) -> str:
    """Of the rows of TAGGED."""
    return "half:upper" if key in "ab" else "half:lower"


def table_of(entity: Entity[Any, Any]) -> str:
    """The name of the table whose rows the entity shows."""
    return STRICT.name if entity is DERIVED else entity.name
