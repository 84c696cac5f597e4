import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from gatewayz.accounts.model import Principal
from gatewayz.accounts.repository import find_principal
from gatewayz.app import ENTITIES
from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import ApiKeyId, KeyDigest
from gatewayz.storage.database import Database, connect
from gatewayz.storage.migrate import SchemaState, migrate, schema_state
from gatewayz.storage.revisions import head_revision


async def query(url: str, sql: str, *arguments: object) -> list[Any]:
    connection = await connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""


COLUMNS_BY_TABLE = """
SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_schema = 'public' GROUP BY 1
"""
ADVISORY_LOCKS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_an_empty_database_is_brought_to_the_head_and_stays_there(database_url: str) -> None:
    assert await schema_state(database_url, ENTITIES) == SchemaState(None, head_revision(), has_triggers=False)
    state = await migrate(database_url, ENTITIES)
    assert state.is_current
    before = await query(database_url, COLUMNS)
    assert {"providers", "models", "pricing", "unique_models", "accounts", "api_keys"} <= {row[0] for row in before}
    assert await migrate(database_url, ENTITIES) == state
    assert await query(database_url, COLUMNS) == before


async def test_rows_of_the_first_revision_survive_the_way_to_the_head(database_url: str) -> None:
    assert (await migrate(database_url, ENTITIES, "0001")).current == "0001"
    await query(database_url, "INSERT INTO providers (slug, name, source) VALUES ('acme', 'Acme', 'live')")
    await query(
        database_url,
        "INSERT INTO models (provider, native_id, public_id, name, content_hash) "
        "VALUES ('acme', 'm', 'acme/m', 'M', '')",
    )
    await query(database_url, "INSERT INTO pricing (model_id, prompt) SELECT id, 0.00000015 FROM models")
    await query(database_url, "INSERT INTO unique_models (id, name) VALUES ('acme/m', 'M')")
    await query(database_url, "INSERT INTO unique_model_offers SELECT id, 'acme/m' FROM models")
    tables = ("providers", "models", "pricing", "unique_models", "unique_model_offers")
    columns = dict(await query(database_url, COLUMNS_BY_TABLE))
    before = [await query(database_url, f"SELECT {columns[table]} FROM {table}") for table in tables]
    assert (await migrate(database_url, ENTITIES)).is_current
    assert [await query(database_url, f"SELECT {columns[table]} FROM {table}") for table in tables] == before


async def test_keys_from_before_there_were_plans_are_bound_to_nothing(database_url: str) -> None:
    await migrate(database_url, ENTITIES, "0003")
    await query(database_url, "INSERT INTO accounts (username, credits) VALUES ('old', 5)")
    await query(
        database_url,
        "INSERT INTO api_keys (id, account_id, name, digest, last_four, scopes) "
        "SELECT 'key_old', id, 'n', 'digest', '1234', '{inference}' FROM accounts",
    )
    assert (await migrate(database_url, ENTITIES)).is_current
    source = database(database_url)
    await source.open()
    try:
        found = await find_principal(source, KeyDigest("digest"))
    finally:
        await source.close()
    assert found is not None
    assert found == Principal(key_id=ApiKeyId("key_old"), account_id=found.account_id, scopes=("inference",))


async def test_several_migrations_at_once_do_it_once(database_url: str) -> None:
    states = await asyncio.gather(*(migrate(database_url, ENTITIES) for _ in range(4)))
    assert all(state.is_current for state in states)
    assert await query(database_url, "SELECT version_num FROM alembic_version") == [(head_revision(),)]


async def test_a_step_that_fails_changes_nothing_and_the_next_try_succeeds(database_url: str) -> None:
    await migrate(database_url, ENTITIES, "0001")
    await query(database_url, "CREATE TABLE api_keys ()")  # in the way of a later step
    with pytest.raises(Exception, match="api_keys"):
        await migrate(database_url, ENTITIES)
    assert (await schema_state(database_url, ENTITIES)).current == "0001"
    assert await query(database_url, "SELECT to_regclass('accounts')") == [(None,)]
    await query(database_url, "DROP TABLE api_keys")
    assert (await migrate(database_url, ENTITIES)).is_current


async def test_a_lock_of_a_migration_is_not_left_behind(database_url: str) -> None:
    await migrate(database_url, ENTITIES)
    assert await query(database_url, ADVISORY_LOCKS) == [(0,)]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("pricing (model_id, prompt)", "(1, -0.1)"),
        ("pricing (model_id)", "(1)"),
        ("providers (slug, name, source)", "('a', 'A', 'guess')"),
        ("models (provider, native_id, public_id, name, content_hash)", "('nobody', 'm', 'm', 'm', '')"),
        ("ledger_entries (transaction_id, account_id, book, amount)", "(1, 1, 'purchased', 5)"),
        ("credit_balances (account_id, purchased)", "(1, -1)"),
        ("accounts (username, plan_id)", "('a', 'no-such')"),
        ("accounts (username, plan_ends_at)", "('a', now())"),
        ("accounts (username, identity_issuer)", "('a', 'https://login.example')"),
        ("plans (id, name)", "('Not A Slug', 'a')"),
        ("plans (id, name, allowance_nano)", "('a', 'a', -1)"),
        *(
            ("plans (id, name, limits)", f"('a', 'a', '{limits}')")
            for limits in (
                *("[]", "1", '{"requests": 1}', '{"concurrent": 0}', '{"concurrent": 1.5}', '{"concurrent": "1"}'),
                *('{"requests_per_year": 1}', '{"tokens_per_day": 10000000000000001}'),
            )
        ),
    ],
)
async def test_the_schema_refuses_what_can_not_be(database_url: str, table: str, values: str) -> None:
    await migrate(database_url, ENTITIES)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await query(database_url, f"INSERT INTO {table} VALUES {values}")


def database(url: str) -> Database:
    return Database(url, pool_size=2, connect_timeout=0.5, command_timeout=5)


@pytest.mark.parametrize(
    "change", [("@/", "@127.0.0.1:9/"), ("/test_", "/gone_"), ("gatewayz@", "stranger@")], ids=["port", "name", "user"]
)
async def test_a_database_that_cannot_be_reached_is_unavailable_and_its_url_stays_secret(
    database_url: str, change: tuple[str, str]
) -> None:
    url = database_url.replace(*change)
    if "127.0.0.1" in url:
        url = "postgresql://gatewayz:the-password@127.0.0.1:9/x"
    unreachable = database(url)
    await unreachable.open()
    try:
        with pytest.raises(Unavailable) as caught:
            await unreachable.fetch_value("SELECT 1")
    finally:
        await unreachable.close()
    assert "DATABASE_URL" in caught.value.message
    assert "the-password" not in caught.value.message
    with pytest.raises(Unavailable):
        await connect(url)


async def test_a_connection_that_was_killed_is_unavailable_once_and_replaced(database_url: str) -> None:
    one = database(database_url)
    await one.open()
    try:
        async with one.connection() as connection:
            pid = connection.get_server_pid()
        await query(database_url, "SELECT pg_terminate_backend($1)", pid)
        with suppress(Unavailable):
            await one.fetch_value("SELECT 1")
        assert await one.fetch_value("SELECT 1") == 1
    finally:
        await one.close()


async def test_a_transaction_is_rolled_back_by_any_error_in_it(database_url: str) -> None:
    await migrate(database_url, ENTITIES)
    one = database(database_url)
    await one.open()
    try:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with one.connection() as connection, connection.transaction():
                await connection.execute("INSERT INTO accounts (username) VALUES ('a'); SELECT 1 / 0")
        assert await one.fetch_value("SELECT count(*) FROM accounts") == 0
    finally:
        await one.close()
