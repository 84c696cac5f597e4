"""Two builds at once, as a rolling deploy has them: what one keeps the other does not read by accident, and what one
changes the other hears of.
"""

import asyncio
import types
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from redis.asyncio import Redis
from tests.support.worker_cache import worker_cache

from gatewayz.app import ENTITIES
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.schema import fingerprint
from gatewayz.storage.database import connect
from gatewayz.storage.migrate import migrate, schema_state


class Rows:
    """What the builds load from. `loads`: by which build, of which key."""

    def __init__(self) -> None:
        self.price = 1
        self.loads: list[str] = []


class Part(Struct, frozen=True):
    price: int


class Now(Struct, frozen=True):
    key: str
    part: Part


class NewPart(Struct, frozen=True):
    price: int
    currency: str = "USD"


class Later(Struct, frozen=True):
    """As `Now`, but for a field of what it holds."""

    key: str
    part: NewPart


async def load_now(rows: Rows, key: str) -> Now:
    rows.loads.append(f"now {key}")
    return Now(key, Part(rows.price))


async def load_later(rows: Rows, key: str) -> Later:
    rows.loads.append(f"later {key}")
    return Later(key, NewPart(rows.price))


TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"


def price(found: Now | Later | None) -> int:
    assert found is not None
    return found.part.price


POLICY = Policy(fresh=300, stale=3600)
NOW = Entity(name="test:thing", value=Now, load=load_now, policy=POLICY)
LATER = Entity(name="test:thing", value=Later, load=load_later, policy=POLICY)


async def test_a_build_with_another_shape_reads_and_writes_entries_of_its_own(redis_url: str) -> None:
    rows = Rows()
    async with AsyncExitStack() as stack:
        old, new, second_new = [
            await stack.enter_async_context(worker_cache([each], rows, redis_url=redis_url, connect_timeout=5))
            for each in (NOW, LATER, LATER)
        ]
        assert await old.get(NOW, "a") == Now("a", Part(1))
        assert await new.get(LATER, "a") == Later("a", NewPart(1))
        assert await second_new.get(LATER, "a") == Later("a", NewPart(1))
        assert rows.loads == ["now a", "later a"], "the second of the new build reads what the first has kept"
        async with Redis.from_url(redis_url) as redis:
            kept = [key async for key in redis.scan_iter("gw:*:test:thing:a")]
        assert len(kept) == 2


@pytest.mark.parametrize(("sender", "hearer"), [(NOW, LATER), (LATER, NOW)], ids=["old to new", "new to old"])
async def test_a_change_told_by_one_build_is_dead_in_the_other_too(
    redis_url: str, sender: Entity[str, Any], hearer: Entity[str, Any]
) -> None:
    rows = Rows()
    async with AsyncExitStack() as stack:

        async def worker(entity: Entity[str, Any]) -> Cache:
            cache = await stack.enter_async_context(
                worker_cache([entity], rows, redis_url=redis_url, connect_timeout=5)
            )
            await cache.start()
            return cache

        telling, hearing = await worker(sender), await worker(hearer)
        await telling.get(sender, "a")
        await hearing.get(hearer, "a")
        rows.price = 2
        await telling.invalidate(sender, "a")
        assert price(await hearing.get(hearer, "a")) == 2
        assert price(await (await worker(hearer)).get(hearer, "a")) == 2


def _another(value: Any) -> Any:  # noqa: ANN401  any type
    """The type of a build that has one field more."""
    return msgspec.defstruct(value.__name__, [("added_later", int, 0)], bases=(value,), frozen=True, kw_only=True)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: str(entity.name))
def test_a_field_more_in_any_entity_of_ours_is_another_build(entity: Entity[Any, Any]) -> None:
    is_struct = isinstance(entity.value, type) and issubclass(entity.value, Struct)
    changed = _another(entity.value) if is_struct else types.GenericAlias(tuple, (entity.value, int))
    build = [each for each in ENTITIES if each is not entity]
    later = msgspec.structs.replace(entity, value=changed)
    assert fingerprint([*build, later]) != fingerprint(ENTITIES)


async def test_a_version_works_on_a_schema_that_a_newer_one_has_migrated_and_leaves_it_alone(database_url: str) -> None:
    await migrate(database_url, ENTITIES)
    connection = await connect(database_url)
    try:
        await connection.execute("ALTER TABLE accounts ADD COLUMN of_a_later_version text")
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await connection.execute("DROP TRIGGER cache_changed_update ON models")
        lacking = await connection.fetchval(TRIGGERS)
        states = await asyncio.gather(migrate(database_url, ENTITIES), schema_state(database_url, ENTITIES))
        assert all(state.is_ahead and state.is_usable and not state.is_current for state in states)
        assert "9999" in str(states[0])
        assert await connection.fetchval(TRIGGERS) == lacking, "triggers are the newer version's to install"
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    finally:
        await connection.close()
