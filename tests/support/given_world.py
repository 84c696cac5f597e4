"""An entity that nobody loads: what comes up elsewhere is put into it."""

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


async def version_in(cache: Cache) -> int | None:
    found = await cache.find(GIVEN, "a")
    return None if found is None else found.value.version
