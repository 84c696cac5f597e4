"""What triggers note of a change, whoever makes it. No cache runs here: what is noted stays in the outbox."""

import asyncpg
import pytest
from tests.support.fleet import noted
from tests.support.gateway import SMALL_CATALOG, import_lists, parts_of

from gatewayz.app import ENTITIES
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.tables import Table
from gatewayz.core.errors import GatewayzError
from gatewayz.settings import Settings, database_url
from gatewayz.storage import triggers
from gatewayz.storage.migrate import migrate, schema_state

PROVIDER = "models:provider"
KEY = "auth:key"


async def load_nothing(_source: object, _key: str) -> None:
    return None


def filled_from(*tables: Table) -> Entity[str, str]:
    return Entity(name="test:thing", value=str, load=load_nothing, policy=Policy(fresh=1), filled_from=tables)


async def test_the_live_schema_has_exactly_the_declared_triggers(db: asyncpg.Connection) -> None:
    wanted = await triggers.expected(db, ENTITIES)
    assert await triggers.installed(db) == wanted
    declared = {table.name for entity in ENTITIES for table in entity.filled_from}
    assert len(wanted.definitions) == 4 * len(declared)


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TRIGGER cache_changed_update ON models",
        "ALTER TABLE api_keys DISABLE TRIGGER cache_changed_delete",
        "CREATE OR REPLACE FUNCTION cache_changed_pricing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER TABLE pricing ADD COLUMN audio numeric",
    ],
)
async def test_a_schema_whose_triggers_differ_is_not_current_until_it_is_migrated(
    settings: Settings, db: asyncpg.Connection, harm: str
) -> None:
    await db.execute(harm)
    state = await schema_state(database_url(settings), ENTITIES)
    assert not state.is_current
    assert "triggers" in str(state)
    assert (await migrate(database_url(settings), ENTITIES)).is_current
    assert await triggers.installed(db) == await triggers.expected(db, ENTITIES)


async def test_triggers_that_are_no_longer_declared_go(settings: Settings, db: asyncpg.Connection) -> None:
    await migrate(database_url(settings), [filled_from(Table("providers", key="slug"))])
    await db.execute("UPDATE models SET name = name || '!'")
    await db.execute("UPDATE providers SET name = name || '!' WHERE slug = 'openai'")
    assert await noted(db) == [("test:thing", ["openai"])]


@pytest.mark.parametrize(
    "table",
    [
        Table("no_such", key="id"),
        Table("no_such"),
        Table("models", key="no_such"),
        Table("models", ignoring=("no_such",)),
    ],
)
async def test_a_declaration_of_what_does_not_exist_is_named(db: asyncpg.Connection, table: Table) -> None:
    with pytest.raises(GatewayzError, match=r"'test:thing'.*no_such"):
        await triggers.expected(db, [filled_from(table)])


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ("UPDATE models SET name = 'x' WHERE provider = 'openai'", ["openai"]),
        ("UPDATE models SET name = 'x' WHERE native_id = 'gpt-4o'", ["azure-openai", "openai"]),
        ("UPDATE models SET provider = 'openrouter' WHERE native_id = 'gpt-4o-mini'", ["openai", "openrouter"]),
        ("DELETE FROM models WHERE provider = 'openrouter'", ["openrouter"]),
        ("UPDATE pricing SET prompt = 1 FROM models m WHERE m.id = model_id AND provider = 'openai'", ["openai"]),
        ("DELETE FROM pricing USING models m WHERE m.id = model_id AND provider = 'openrouter'", ["openrouter"]),
        ("UPDATE unique_models SET name = 'x' WHERE id LIKE '%text-embedding%'", ["openai"]),
        (
            "DELETE FROM unique_model_offers USING models m WHERE m.id = model_id AND provider = 'azure-openai'",
            ["azure-openai"],
        ),
        ("UPDATE providers SET name = 'x' WHERE slug = 'openai'", ["openai"]),
        ("INSERT INTO providers (slug, name, source) VALUES ('new', 'New', 'live')", ["new"]),
        ("DELETE FROM providers WHERE slug = 'openrouter'", ["openrouter"]),
        ("TRUNCATE pricing", None),
    ],
)
async def test_a_change_of_the_catalog_notes_its_providers(
    db: asyncpg.Connection, change: str, keys: list[str] | None
) -> None:
    await db.execute(change)
    assert await noted(db) == [(PROVIDER, keys)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE models SET name = name",
        "UPDATE models SET missing_count = missing_count + 1, updated_at = now()",
        "UPDATE pricing SET prompt = prompt",
        "DELETE FROM models WHERE false",
        "INSERT INTO unique_models (id, name) VALUES ('nobody/sells-it', 'x')",
        "UPDATE accounts SET created_at = now()",
        "UPDATE api_keys SET revoked_at = NULL",
    ],
)
async def test_a_change_that_no_entity_shows_notes_nothing(db: asyncpg.Connection, change: str) -> None:
    await db.execute(change)
    assert await noted(db) == []


OF_ACCOUNTS = """
INSERT INTO plans (id, name) VALUES ('team', 'Team'), ('other', 'Other');
UPDATE accounts SET plan_id = 'team', identity_issuer = 'https://login.example', identity_digest = 'feed';
UPDATE api_keys SET former_digest = 'former', former_expires_at = now() + interval '1 day';
INSERT INTO trials (account_id, allowance_nano, ends_at) SELECT id, 1, now() + interval '1 day' FROM accounts;
"""
SECRETS = [(KEY, "digest"), (KEY, "former")]
ACCOUNT = [("auth:account", "account"), ("auth:identity", "identity"), ("auth:username", "username")]
LIMITS = [("db:rate_limit", "key")]


@pytest.mark.parametrize(
    ("change", "noting"),
    [
        ("UPDATE api_keys SET revoked_at = now()", SECRETS),
        ("UPDATE api_keys SET scopes = '{}'", SECRETS),
        ("UPDATE api_keys SET expires_at = now()", SECRETS),
        ("UPDATE api_keys SET models = '{openai/gpt-4o}'", SECRETS),
        ("UPDATE api_keys SET networks = '{192.0.2.0/24}'", SECRETS),
        ("UPDATE api_keys SET budget_nano = 1", SECRETS),
        ("UPDATE api_keys SET former_expires_at = now()", SECRETS),
        ("UPDATE api_keys SET former_digest = NULL, former_expires_at = NULL", SECRETS),
        ("""UPDATE api_keys SET limits = '{"concurrent": 1}'""", SECRETS + LIMITS),
        ("DELETE FROM api_keys", SECRETS + LIMITS),
        ("UPDATE accounts SET is_active = false", SECRETS + ACCOUNT),
        ("UPDATE accounts SET plan_id = 'other'", SECRETS + ACCOUNT + LIMITS),
        ("UPDATE accounts SET plan_ends_at = now()", SECRETS + ACCOUNT + LIMITS),
        ("""UPDATE accounts SET limits = '{"concurrent": 1}'""", SECRETS + ACCOUNT + LIMITS),
        ("UPDATE accounts SET username = username", []),
        ("DELETE FROM accounts", SECRETS + ACCOUNT + LIMITS + [("db:trial", "account"), ("db:credits", "account")]),
        ("UPDATE trials SET ends_at = ends_at + interval '1 day'", [("db:trial", "account")]),
        ("DELETE FROM trials", [("db:trial", "account")]),
    ],
)
async def test_a_change_of_a_key_or_an_account_notes_what_is_read_of_them(
    db: asyncpg.Connection, change: str, noting: list[tuple[str, str]]
) -> None:
    await db.execute(OF_ACCOUNTS)
    row = await db.fetchrow(
        "SELECT digest, k.id AS key, a.id::text AS account, username, identity FROM api_keys k, accounts a"
    )
    named = {**dict(row), "former": "former"}
    await db.execute("DELETE FROM cache_outbox")
    await db.execute(change)
    found = {(entity, key) for entity, keys in await noted(db) for key in keys or ("any",)}
    assert found == {(entity, named[which]) for entity, which in noting}


@pytest.mark.parametrize("change", ["SET username = 'new'", "SET identity_issuer = NULL, identity_digest = NULL"])
async def test_whoever_was_known_by_another_name_is_noted_by_the_old_and_the_new(
    db: asyncpg.Connection, change: str
) -> None:
    await db.execute(OF_ACCOUNTS)
    await db.execute("DELETE FROM cache_outbox")
    await db.execute(f"UPDATE accounts {change}")
    found = dict(await noted(db))
    assert KEY not in found
    assert sorted(found["auth:username"] or ()) == (["new", "test"] if "username" in change else ["test"])
    assert found["auth:identity"] == ["https://login.example:feed"]


async def test_a_change_of_a_plans_limits_concerns_every_key(db: asyncpg.Connection) -> None:
    await db.execute(OF_ACCOUNTS)
    await db.execute("DELETE FROM cache_outbox")
    await db.execute("UPDATE plans SET name = 'New' WHERE id = 'team'")
    assert await noted(db) == [("db:plan", ["team"])]
    await db.execute("""UPDATE plans SET limits = '{"concurrent": 1}' WHERE id = 'team'""")
    assert (KEY, None) in await noted(db)
    assert ("db:rate_limit", None) in await noted(db)


async def test_a_new_key_is_noted_as_it_may_be_remembered_as_unknown(db: asyncpg.Connection) -> None:
    await db.execute(
        "INSERT INTO api_keys (id, account_id, name, digest, last_four) SELECT 'k', id, 'n', 'd', '1234' FROM accounts"
    )
    assert await noted(db) == [(KEY, ["d"]), ("db:rate_limit", ["k"])]


async def test_a_rolled_back_change_notes_nothing(db: asyncpg.Connection) -> None:
    transaction = db.transaction()
    await transaction.start()
    await db.execute("UPDATE models SET name = 'x'")
    await transaction.rollback()
    assert await noted(db) == []


async def test_a_bulk_change_notes_one_row_and_a_loop_one_per_key(db: asyncpg.Connection) -> None:
    await db.execute("UPDATE models SET name = name || '!'")
    assert await noted(db) == [(PROVIDER, ["azure-openai", "demo", "openai", "openrouter"])]
    await db.execute("DELETE FROM cache_outbox")
    async with db.transaction():
        for row in await db.fetch("SELECT id FROM models"):
            await db.execute("UPDATE models SET name = name || '?' WHERE id = $1", row["id"])
    assert await noted(db) == [(PROVIDER, [slug]) for slug in ("azure-openai", "demo", "openai", "openrouter")]


async def test_without_a_key_any_change_concerns_every_key(settings: Settings, db: asyncpg.Connection) -> None:
    await migrate(database_url(settings), [filled_from(Table("providers", ignoring=("changed_at",)))])
    await db.execute("UPDATE providers SET changed_at = now()")
    assert await noted(db) == []
    await db.execute("UPDATE providers SET name = 'x' WHERE slug = 'openai'")
    assert await noted(db) == [("test:thing", None)]


async def test_more_keys_than_500_are_noted_as_any_key(db: asyncpg.Connection) -> None:
    insert = (
        "INSERT INTO api_keys (id, account_id, name, digest, last_four) "
        "SELECT 'k' || n, a.id, 'n', 'd' || n, '1234' FROM accounts a, generate_series($1::int, $2) AS n"
    )
    await db.execute(insert, 1, 500)
    assert len(dict(await noted(db))[KEY] or ()) == 500
    await db.execute("DELETE FROM cache_outbox")
    await db.execute(insert, 1000, 1500)
    assert dict(await noted(db))[KEY] is None


async def test_whoever_may_change_a_table_needs_no_right_on_the_outbox(db: asyncpg.Connection) -> None:
    async with db.transaction():
        await db.execute("CREATE ROLE clerk")
        await db.execute("GRANT SELECT, UPDATE ON pricing TO clerk")
        await db.execute("SET LOCAL ROLE clerk")
        await db.execute("UPDATE pricing SET prompt = 7")
        await db.execute("RESET ROLE")
        await db.execute("DROP OWNED BY clerk")
        await db.execute("DROP ROLE clerk")
    assert await noted(db) == [(PROVIDER, ["azure-openai", "demo", "openai", "openrouter"])]


async def test_a_sync_of_an_unchanged_list_notes_nothing(settings: Settings, db: asyncpg.Connection) -> None:
    ids = "SELECT last_value FROM pg_sequences WHERE sequencename = 'cache_outbox_id_seq'"
    before = await db.fetchval(ids)
    async with parts_of(settings) as parts:
        await import_lists(parts, SMALL_CATALOG)
    assert await db.fetchval(ids) == before
