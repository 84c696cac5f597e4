"""What is cached in a run: rows of two tables whose versions only grow, and keys that nobody has read before."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from gatewayz.cache.entity import Entity, Loaded, Policy
from gatewayz.cache.tables import Table
from gatewayz.storage.database import Database
from tests.chaos.history import Loaded as HasLoaded
from tests.chaos.history import Loading, Log

KEYS = tuple(f"k{n}" for n in range(8))
GONE_EVERY = 7
SLOWEST_LOAD = 0.03
COLD_LOAD = 0.1
TABLES = """
CREATE TABLE chaos_told (key text PRIMARY KEY, version bigint NOT NULL DEFAULT 1);
CREATE TABLE chaos_rows (key text PRIMARY KEY, version bigint NOT NULL DEFAULT 1);
"""


class Thing(Struct, frozen=True):
    entity: str
    key: str
    version: int
    filling: str = "x" * 200


class Source:
    """`doom`: a file. Who begins to load a cold key and finds it, removes it and dies."""

    def __init__(self, database: Database, log: Log, worker: str, rng: random.Random, doom: Path) -> None:
        self.database = database
        self.log = log
        self.worker = worker
        self.rng = rng
        self.doom = doom
        self.redis: Callable[[], str] = str

    async def lag(self) -> None:
        """As if what was read came late: it may be old by now."""
        await asyncio.sleep(self.rng.uniform(0, SLOWEST_LOAD))


def is_gone(version: int) -> bool:
    """Every seventh version stands for a row that is not there."""
    return version % GONE_EVERY == 0


def _told(entity: str) -> Any:  # noqa: ANN401  a Loader
    async def load(source: Source, key: str) -> Loaded[Thing]:
        version = await source.database.fetch_value("SELECT version FROM chaos_told WHERE key = $1", key)
        await source.lag()
        return Loaded(value=_thing(entity, key, version), tags=(tag_of(key),))

    return load


def _row(entity: str) -> Any:  # noqa: ANN401  a Loader
    async def load(source: Source, key: str) -> Thing | None:
        version = await source.database.fetch_value("SELECT version FROM chaos_rows WHERE key = $1", key)
        await source.lag()
        return _thing(entity, key, version)

    return load


def _rows(entity: str) -> Any:  # noqa: ANN401  a BatchLoader
    async def load(source: Source, keys: Sequence[str]) -> dict[str, Thing]:
        rows = await source.database.fetch("SELECT key, version FROM chaos_rows WHERE key = ANY($1)", keys)
        await source.lag()
        things = {row["key"]: _thing(entity, row["key"], row["version"]) for row in rows}
        return {key: thing for key, thing in things.items() if thing is not None}

    return load


def _thing(entity: str, key: str, version: int) -> Thing | None:
    return None if is_gone(version) else Thing(entity, key, version)


def tag_of(key: str) -> str:
    return f"row:{key}"


async def load_cold(source: Source, key: str) -> Thing | None:
    source.log.note(Loading(source.worker, COLD.name, key, time.monotonic(), source.redis()))
    try:
        source.doom.unlink()
    except FileNotFoundError:
        await asyncio.sleep(COLD_LOAD)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    source.log.note(HasLoaded(source.worker, COLD.name, key, time.monotonic()))
    return Thing(COLD.name, key, 1)


STRICT = Policy(fresh=8, absent=4)
LENIENT = Policy(fresh=2, stale=600, refresh_at=1, absent=4)

TOLD = tuple(
    Entity(name=name, value=Thing, load=_told(name), policy=policy, tags=("row",))
    for name, policy in (("told-strict", STRICT), ("told-lenient", LENIENT))
)
ROWS = tuple(
    Entity(
        name=name,
        value=Thing,
        load=_row(name),
        load_many=_rows(name),
        policy=policy,
        filled_from=(Table("chaos_rows", key="key"),),
    )
    for name, policy in (("rows-strict", STRICT), ("rows-lenient", LENIENT))
)
COLD: Entity[str, Thing] = Entity(name="cold", value=Thing, load=load_cold, policy=Policy(fresh=300))
ENTITIES: tuple[Entity[str, Thing], ...] = (*TOLD, *ROWS, COLD)
LENIENT_NAMES = frozenset(entity.name for entity in ENTITIES if entity.policy.stale)
