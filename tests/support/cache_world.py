"""A small world to cache: a source that can be held up, and entities over it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy, Single, same_key
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE


class Thing(Struct, frozen=True):
    key: str
    version: int
    text: str = ""


class Source:
    """What the loaders read. `gate` holds loads up after they have read; `failing` is raised instead."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.loads: list[str] = []
        self.gate: asyncio.Event | None = None
        self.loading = asyncio.Event()
        self.failing: BaseException | None = None

    async def read(self, key: str) -> Thing | None:
        self.loads.append(key)
        version = self.rows.get(key)
        gate = self.gate
        self.loading.set()
        if gate is not None:
            await gate.wait()
        if self.failing is not None:
            raise self.failing
        return Thing(key, version) if version is not None else None


async def load_thing(source: Source, key: str) -> Thing | None:
    return await source.read(key)


async def load_things(source: Source, keys: Sequence[str]) -> dict[str, Thing]:
    source.loads.append("+".join(keys))
    return {key: Thing(key, source.rows[key]) for key in keys if key in source.rows}


async def load_whole(source: Source, _key: Single) -> Thing | None:
    return await source.read("whole")


STRICT = Entity(name="test:strict", value=Thing, load=load_thing, policy=Policy(fresh=300, absent=10))
LENIENT = Entity(
    name="test:lenient",
    value=Thing,
    load=load_thing,
    policy=Policy(fresh=900, stale=86_400, refresh_at=800),
)
BATCHED = Entity(
    name="test:batched",
    value=Thing,
    load=load_thing,
    load_many=load_things,
    policy=Policy(fresh=300),
)
WHOLE = Entity(
    name="test:whole",
    value=Thing,
    load=load_whole,
    policy=Policy(fresh=900, stale=86_400, refresh_at=800),
    hangs_on=(LENIENT,),
    large=True,
)
PRICE = Entity(
    name="test:price",
    value=Thing,
    load=load_thing,
    policy=Policy(fresh=300),
    hangs_on=(same_key(STRICT),),
)
TOTAL = Entity(name="test:total", value=Thing, load=load_whole, policy=Policy(fresh=300), hangs_on=(WHOLE,))

ENTITIES: tuple[Entity[Any, Any], ...] = (STRICT, LENIENT, BATCHED, WHOLE, PRICE, TOTAL)


PATIENT = Budgets(answer=30, large=30)
"""For tests of something else than what Redis may take: no machine is so slow."""


def local_cache(source: object, clock: FakeClock, **options: Any) -> Cache:  # noqa: ANN401  those of Cache
    options = {"entities": ENTITIES, "rng": random.Random(7), "budgets": PATIENT, **options}
    return Cache(options.pop("entities"), source, clock=clock, **options)


async def until(condition: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await condition.wait()


async def eventually(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds, which nobody signals."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  what is waited for happens in sockets and timers
            await asyncio.sleep(0)


async def settled(turns: int = 30) -> None:
    """Let everything that is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)
