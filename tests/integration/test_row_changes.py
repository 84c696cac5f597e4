"""A row changed by anyone reaches every worker's cache, whatever dies on the way."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import asyncpg
import pytest
from msgspec.structs import replace
from pydantic import SecretStr
from tests.support.fleet import fleet, noted, psql, until_applied
from tests.support.gateway import SMALL_CATALOG, import_lists, parts_of
from tests.support.own_redis import own_redis
from tests.support.patience import PATIENCE

from gatewayz.accounts.repository import API_KEY
from gatewayz.app import Parts
from gatewayz.catalog.repository import MODEL, PROVIDER_CATALOG, STATS
from gatewayz.core.errors import InvalidApiKey, Unavailable
from gatewayz.core.ids import KeyDigest
from gatewayz.settings import Settings, database_url
from gatewayz.storage.database import Database
from gatewayz.storage.election import lead
from gatewayz.storage.outbox import Changed, NotApplied, Outbox

pytestmark = pytest.mark.alone

PROVIDER = "models:provider"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(database_url(settings), pool_size=5, connect_timeout=5, command_timeout=10)
    await database.open()
    yield database
    await database.close()


def with_redis(settings: Settings, url: str | None) -> Settings:
    redis_url = None if url is None else SecretStr(url)
    return settings.model_copy(update={"cache": settings.cache.model_copy(update={"redis_url": redis_url})})


class Heard:
    """Stands for the caches: keeps what it was told, and takes it unless told not to."""

    def __init__(self) -> None:
        self.changes: list[dict[str, set[str] | None]] = []
        self.takes = True

    async def apply(self, changed: Changed, _position: int) -> bool:
        self.changes.append({name: None if keys is None else set(keys) for name, keys in changed.items()})
        return self.takes


CHANGES: Mapping[str, str] = {
    "a model": "UPDATE models SET is_active = false WHERE native_id = 'gpt-4o'",
    "a price": "UPDATE pricing SET prompt = prompt * 2",
    "a provider's models": "DELETE FROM models WHERE provider = 'openai'",
    "a provider": "DELETE FROM providers WHERE slug = 'openai'",
    "the relation": "DELETE FROM unique_model_offers USING models m WHERE m.id = model_id AND m.provider = 'openai'",
    "all prices": "TRUNCATE pricing",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("has_redis", [True, False], ids=["redis", "no redis"])
async def test_a_change_of_the_catalog_by_hand_reaches_every_worker(
    settings: Settings, db: asyncpg.Connection, change: str, *, has_redis: bool
) -> None:
    async with fleet(settings if has_redis else with_redis(settings, None)) as workers:
        for each in workers:
            assert await each.cache.get(MODEL, "openai/gpt-4o")
            assert await each.cache.get(PROVIDER_CATALOG, "openai")
            assert await each.cache.get(STATS)
        await db.execute(change)
        await until_applied(db)
        await until_forgotten(workers)
        truth = [await MODEL.load(workers[0].database, "openai/gpt-4o") if MODEL.load else None]
        for each in workers:
            assert await each.cache.get(MODEL, "openai/gpt-4o") == truth[0]


async def until_forgotten(workers: list[Parts]) -> None:
    """Without Redis nobody confirms that the others have heard: their own notification tells them."""
    async with asyncio.timeout(PATIENCE):
        while any(each.cache.peek(MODEL, "openai/gpt-4o") for each in workers):  # noqa: ASYNC110  each hears for itself
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE accounts SET is_active = false",
        "DELETE FROM accounts",
        "TRUNCATE api_keys CASCADE",
    ],
)
async def test_a_key_taken_back_by_hand_is_refused_by_every_worker(
    settings: Settings, db: asyncpg.Connection, change: str
) -> None:
    digest = KeyDigest(await db.fetchval("SELECT digest FROM api_keys"))
    async with fleet(settings) as workers:
        for each in workers:
            assert await each.cache.get(API_KEY, digest) is not None
        await db.execute(change)
        await until_applied(db)
        for each in workers:
            assert await each.cache.get(API_KEY, digest) is None


async def test_what_a_writer_changed_is_applied_everywhere_when_it_returns(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        writer, *workers = [await stack.enter_async_context(parts_of(settings)) for _ in range(3)]
        made = await writer.keys.create(name="n", account="a")
        for each in workers:
            await each.authentication.authenticate(made.secret, "inference")
        await writer.keys.revoke(made.record.id)
        for each in workers:
            with pytest.raises(InvalidApiKey):
                await each.authentication.authenticate(made.secret, "inference")


async def test_a_sync_is_seen_by_every_worker_when_it_returns(settings: Settings) -> None:
    listed = SMALL_CATALOG[0]
    renamed = replace(listed, models=tuple(replace(model, name="New") for model in listed.models))
    async with fleet(settings) as workers:
        for each in workers:
            await each.cache.get(PROVIDER_CATALOG, "openai")
        await import_lists(workers[0], [renamed])
        for each in workers:
            catalog = await each.cache.get(PROVIDER_CATALOG, "openai")
            assert catalog is not None
            assert {offer.name for offer in catalog.offers} == {"New"}


async def test_a_writer_that_cannot_have_it_applied_succeeds_and_leaves_it_noted(
    database: Database, db: asyncpg.Connection
) -> None:
    heard = Heard()
    heard.takes = False
    outbox = Outbox(database, heard.apply, [PROVIDER])
    async with outbox.transaction() as connection:
        await connection.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
    assert await noted(db) == [(PROVIDER, ["openai"])]
    with pytest.raises(NotApplied):
        await outbox.apply_next()
    assert await noted(db) == [(PROVIDER, ["openai"])]
    heard.takes = True
    assert await outbox.apply_next() == 1
    assert await noted(db) == []


async def test_a_relay_that_dies_between_claim_and_commit_loses_nothing(
    database: Database, db: asyncpg.Connection
) -> None:
    async def die(_changed: Changed, _position: int) -> bool:
        killed = await db.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        assert killed == 1
        return True

    heard = Heard()
    await db.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
    with pytest.raises(Unavailable):
        await Outbox(database, die, [PROVIDER]).apply_next()
    assert await noted(db) == [(PROVIDER, ["openai"])]
    assert await Outbox(database, heard.apply, [PROVIDER]).apply_next() == 1
    assert heard.changes == [{PROVIDER: {"openai"}}]


async def test_a_writer_waits_while_the_relay_has_its_rows(database: Database) -> None:
    claimed, told = asyncio.Event(), asyncio.Event()

    async def apply_slowly(_changed: Changed, _position: int) -> bool:
        claimed.set()
        await told.wait()
        return True

    heard = Heard()
    relay = Outbox(database, apply_slowly, [PROVIDER])
    writer = Outbox(database, heard.apply, [PROVIDER])
    async with database.connection() as connection, connection.transaction():
        await connection.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
        xact = await connection.fetchval("SELECT pg_current_xact_id()::text")
    relaying = asyncio.create_task(relay.apply_next())
    await claimed.wait()
    async with database.connection() as connection:
        waiting = asyncio.create_task(writer._apply_own(connection, xact))
        await until_blocked(database)
        assert not waiting.done()
        told.set()
        await waiting
    assert await relaying == 1
    assert heard.changes == []


async def until_blocked(database: Database) -> None:
    blocked = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    async with asyncio.timeout(PATIENCE):
        while not await database.fetch_value(blocked):  # noqa: ASYNC110  what is awaited happens in the database
            await asyncio.sleep(0.001)


async def test_a_transaction_that_commits_after_a_later_one_is_not_passed_over(
    settings: Settings, database: Database, db: asyncpg.Connection
) -> None:
    heard = Heard()
    outbox = Outbox(database, heard.apply, [PROVIDER])
    async with psql(settings) as slow:
        first = slow.transaction()
        await first.start()
        await slow.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
        await db.execute("UPDATE providers SET name = 'x' WHERE slug = 'openrouter'")
        assert await outbox.apply_next() == 1
        assert await outbox.apply_next() == 0
        await first.commit()
    assert await outbox.apply_next() == 1
    assert heard.changes == [{PROVIDER: {"openrouter"}}, {PROVIDER: {"openai"}}]


async def test_rows_of_entities_that_this_build_does_not_know_are_left_to_others(
    database: Database, db: asyncpg.Connection
) -> None:
    heard = Heard()
    await db.execute("INSERT INTO cache_outbox (entity, keys) VALUES ('newer:thing', '{a}')")
    assert await Outbox(database, heard.apply, [PROVIDER]).apply_next() == 0
    assert await Outbox(database, heard.apply, ["newer:thing"]).apply_next() == 1


async def test_many_changes_of_one_entity_are_one_invalidation(database: Database, db: asyncpg.Connection) -> None:
    heard = Heard()
    for number in range(3):
        await db.execute("UPDATE providers SET name = $1", f"name {number}")
    assert await Outbox(database, heard.apply, [PROVIDER]).apply_next() == 3
    assert heard.changes == [{PROVIDER: {"azure-openai", "demo", "openai", "openrouter"}}]


async def test_more_than_500_changed_keys_of_one_entity_are_told_as_any_key(
    database: Database, db: asyncpg.Connection
) -> None:
    heard = Heard()
    for number in range(2):
        keys = [f"{number} {each}" for each in range(300)]
        await db.execute("INSERT INTO cache_outbox (entity, keys) VALUES ($1, $2)", PROVIDER, keys)
    assert await Outbox(database, heard.apply, [PROVIDER]).apply_next() == 2
    assert heard.changes == [{PROVIDER: None}]


async def test_a_relay_goes_on_after_it_could_not_tell_and_wakes_when_told_to(
    database: Database, db: asyncpg.Connection
) -> None:
    heard = Heard()
    heard.takes = False
    outbox = Outbox(database, heard.apply, [PROVIDER])
    relaying = asyncio.create_task(outbox.relay())
    try:
        await db.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
        outbox.wake()
        async with asyncio.timeout(PATIENCE):
            while len(heard.changes) < 2:  # noqa: ASYNC110  the relay goes by its own time
                await asyncio.sleep(0.005)
        assert await noted(db) == [(PROVIDER, ["openai"])]
        heard.takes = True
        await until_applied(db)
    finally:
        relaying.cancel()
        await asyncio.wait({relaying})


async def test_of_two_candidates_one_leads_and_the_other_follows_when_its_connection_dies(
    settings: Settings, db: asyncpg.Connection
) -> None:
    leaders: asyncio.Queue[str] = asyncio.Queue()

    async def stand(name: str) -> None:
        async def work() -> None:
            leaders.put_nowait(name)
            await asyncio.Event().wait()

        await lead(database_url(settings), "test", work)

    candidates = {name: asyncio.create_task(stand(name)) for name in ("one", "two")}
    try:
        first = await leaders.get()
        assert await db.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        async with asyncio.timeout(2):
            assert await leaders.get() != first
    finally:
        for task in candidates.values():
            task.cancel()
        await asyncio.gather(*candidates.values(), return_exceptions=True)


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by the command"])
async def test_while_redis_is_frozen_a_revoked_key_is_refused_within_2_s_and_stays_so(
    settings: Settings, db: asyncpg.Connection, *, by_hand: bool
) -> None:
    with own_redis() as redis:
        async with fleet(with_redis(settings, redis.url)) as workers:
            made = await workers[0].keys.create(name="n", account="a")
            for each in workers:
                await each.authentication.authenticate(made.secret, "inference")
            redis.freeze()
            try:
                async with asyncio.timeout(PATIENCE):
                    if by_hand:
                        await db.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", made.record.id)
                    else:
                        await workers[0].keys.revoke(made.record.id)
                async with asyncio.timeout(2):
                    for each in workers:
                        await until_refused(each, made.secret)
                assert await noted(db), "Redis has not been told, so this must not be forgotten"
            finally:
                redis.thaw()
            async with asyncio.timeout(PATIENCE):
                while await noted(db):
                    for each in workers:
                        with pytest.raises(InvalidApiKey):
                            await each.authentication.authenticate(made.secret, "inference")
                    await asyncio.sleep(0.001)


async def until_refused(parts: Parts, secret: str) -> None:
    while True:
        try:
            await parts.authentication.authenticate(secret, "inference")
        except InvalidApiKey:
            return
        await asyncio.sleep(0.001)


async def test_a_worker_that_lost_the_database_serves_nothing_unchecked_afterwards(
    settings: Settings, db: asyncpg.Connection
) -> None:
    """Redis may be frozen at that moment, and then nobody else would tell it what it missed."""
    digest = KeyDigest(await db.fetchval("SELECT digest FROM api_keys"))
    async with parts_of(settings) as parts:
        assert await parts.cache.get(API_KEY, digest) is not None
        async with db.transaction():
            # No commit tells of this change: as if its notification had been sent while the link was down.
            await db.execute("SET LOCAL session_replication_role = replica")
            await db.execute("UPDATE api_keys SET scopes = '{}'")
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query ILIKE 'listen%'"
        )
        async with asyncio.timeout(PATIENCE):
            while parts.cache.peek(API_KEY, digest) is not None:  # noqa: ASYNC110  it happens at the reconnection
                await asyncio.sleep(0.005)
