"""An entity that nobody loads: what comes up elsewhere is put into it."""

import asyncio
from collections.abc import Sequence

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Loaded, Policy
from tests.support.cache_world import Thing

GIVEN: Entity[str, Thing] = Entity(
    name="test:given", value=Thing, policy=Policy(fresh=300, stale=600), tags=("account",), is_given=True
)


def given(version: int, *tags: str, ttl: float | None = None, text: str = "") -> Loaded[Thing]:
    return Loaded(value=Thing("a", version, text), tags=tags, ttl=ttl)


async def give(cache: Cache, version: int, *tags: str, ttl: float | None = None, text: str = "") -> bool:
    async with cache.keeping(GIVEN, "a") as keep:
        return await keep(given(version, *tags, ttl=ttl, text=text))


class Bringing:
    """What loads many keys, brought by who asks. `asked`: the keys of each call. `gate` holds calls up."""

    def __init__(self, version: int = 1, *tags: str) -> None:
        self.version = version
        self.tags = tags
        self.asked: list[list[str]] = []
        self.failing: dict[str, Exception] = {}
        self.gate: asyncio.Event | None = None
        self.loading = asyncio.Event()

    async def load(self, _source: object, keys: Sequence[str]) -> dict[str, Loaded[Thing] | Exception]:
        self.asked.append(list(keys))
        self.loading.set()
        if self.gate is not None:
            await self.gate.wait()
        said = {key: Loaded(value=Thing(key, self.version), tags=self.tags) for key in keys}
        return {**said, **{key: error for key, error in self.failing.items() if key in said}}


async def version_in(cache: Cache) -> int | None:
    found = await cache.find(GIVEN, "a")
    return None if found is None else found.value.version
