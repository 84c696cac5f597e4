"""What the database itself holds of the ledger, whoever writes."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.support.credits_world import CreditsWorld, credits_world

from gatewayz.app import ENTITIES
from gatewayz.core.ids import TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Owner
from gatewayz.storage.database import connect
from gatewayz.storage.migrate import migrate


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[CreditsWorld]:
    async with credits_world(migrated_database_url) as world:
        yield world


async def run(world: CreditsWorld, sql: str, *arguments: object) -> None:
    async with world.database.connection() as connection:
        await connection.execute(sql, *arguments)


async def transaction_of(world: CreditsWorld, account: int) -> int:
    return int(
        await world.database.fetch_value(
            "INSERT INTO ledger_transactions (account_id, kind) VALUES ($1, 'grant') RETURNING id", account
        )
    )


ENTRIES = "INSERT INTO ledger_entries (transaction_id, account_id, book, amount) VALUES "


@pytest.mark.parametrize(
    "rows",
    [
        "($1, $2, 'purchased', 5)",
        "($1, $2, 'purchased', 5), ($1, NULL, 'grants', -4)",
        "($1, $2, 'purchased', 5), ($1, $2, 'allowance', -5)",  # below zero
        "($1, NULL, 'purchased', 5), ($1, NULL, 'grants', -5)",  # of nobody
        "($1, $2, 'grants', 5), ($1, NULL, 'expired', -5)",
        "($1, $2 + 1, 'purchased', 5), ($1, NULL, 'grants', -5)",  # of another account
        "($1, $2, 'sofa', 5), ($1, NULL, 'grants', -5)",
        "($1, $2, 'purchased', 0)",
    ],
)
async def test_entries_that_do_not_balance_are_refused_whoever_writes_them(world: CreditsWorld, rows: str) -> None:
    account = await world.account()
    await world.account(purchased=50)
    transaction = await transaction_of(world, account)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await run(world, ENTRIES + rows, *((transaction, account) if "$2" in rows else (transaction,)))
    assert (await world.balance(account)).available == 0


async def test_the_balance_follows_entries_written_by_hand_and_no_more_can_be_added(world: CreditsWorld) -> None:
    account = await world.account()
    transaction = await transaction_of(world, account)
    await run(world, ENTRIES + "($1, $2, 'purchased', 5), ($1, NULL, 'grants', -5)", transaction, account)
    assert (await world.balance(account)).purchased == 5
    with pytest.raises(asyncpg.CheckViolationError, match="no further entries"):
        await run(world, ENTRIES + "($1, $2, 'allowance', 5), ($1, NULL, 'allowances', -5)", transaction, account)
    assert await world.drifts() == []


@pytest.mark.parametrize("table", ["ledger_transactions", "ledger_entries"])
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = 1", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_is_in_the_ledger_stays_as_it_is(world: CreditsWorld, table: str, change: str) -> None:
    await world.account(purchased=5)
    with pytest.raises(asyncpg.PostgresError, match="only added to"):
        await run(world, change.format(table))


async def test_an_account_with_a_past_cannot_be_deleted(world: CreditsWorld) -> None:
    account = await world.account(purchased=5)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await run(world, "DELETE FROM accounts WHERE id = $1", account)
    await run(world, "DELETE FROM accounts WHERE id = $1", await world.account())


async def test_a_reference_is_posted_once_also_by_two_at_once(world: CreditsWorld) -> None:
    account = await world.account()
    async with world.database.connection() as one, world.database.connection() as two:
        grant = "SELECT credits_grant($1, 5, 'twice', 'test', 'ref')"
        first = one.transaction()
        await first.start()
        assert await one.fetchval(grant, account)
        pid = two.get_server_pid()
        waiting = asyncio.ensure_future(two.fetchval(grant, account))
        async with asyncio.timeout(10):
            blocked = "SELECT cardinality(pg_blocking_pids($1)) > 0"
            while not await world.database.fetch_value(blocked, pid):  # noqa: ASYNC110  it happens in the database
                await asyncio.sleep(0.005)
        await first.commit()
        assert await waiting is None
    assert (await world.balance(account)).purchased == 5


async def test_credits_of_before_there_was_a_ledger_are_its_first_grants(database_url: str) -> None:
    await migrate(database_url, ENTITIES, "0004")
    connection = await connect(database_url)
    try:
        await connection.execute("INSERT INTO accounts (username, credits) VALUES ('rich', 7), ('poor', 0)")
        await migrate(database_url, ENTITIES)
        rows = await connection.fetch(
            "SELECT username, purchased FROM credit_balances b JOIN accounts a ON a.id = b.account_id ORDER BY 1"
        )
        assert [tuple(row) for row in rows] == [("poor", 0), ("rich", 7)]
        assert await connection.fetchval("SELECT sum(amount) FROM ledger_entries WHERE book = 'grants'") == -7
    finally:
        await connection.close()
    async with credits_world(database_url) as world:
        assert await world.drifts() == []


LOST_ENTRY = """
ALTER TABLE ledger_entries DISABLE TRIGGER ledger_refuse;
DELETE FROM ledger_entries WHERE book = 'grants';
"""


@pytest.mark.parametrize(
    ("harm", "found_by"),
    [
        ("UPDATE credit_balances SET purchased = purchased + 1", "purchased: the ledger and the balance"),
        ("UPDATE credit_balances SET allowance = allowance + 1", "allowance: what remains of each and the balance"),
        ("UPDATE credit_balances SET allowance = allowance + 1", "allowance: the ledger and the balance"),
        ("UPDATE credit_balances SET held = held + 1", "held: the ledger and the balance"),
        ("UPDATE tranches SET released = released + 1", "held: the tranches and the balance"),
        ("UPDATE charges SET cost = cost + 1", "cost: the charges and the revenue"),
        ("UPDATE charges SET charged = charged - 1", "charged: the charges and the revenue less write-offs"),
        ("UPDATE usage_by_day SET charged = charged + 1", "charged: the charges and the usage by day"),
        ("UPDATE tranche_draws SET released = released + 1", "tranches: where they were filled from"),
        (LOST_ENTRY, "each transaction sums to zero"),
    ],
)
async def test_each_proof_finds_what_it_is_for(world: CreditsWorld, harm: str, found_by: str) -> None:
    account = await world.account(purchased=100)
    funded = await world.tranches.fund(Owner(account), NanoUsd(20))
    await world.settlement.settle([world.charge(account, cost=5, hold=5, tranche=funded.tranche)])
    assert await world.drifts() == []
    await run(world, harm)
    assert found_by in {drift.what for drift in await world.drifts()}


async def test_a_charge_pays_no_more_than_its_hold_from_a_tranche_that_others_share(world: CreditsWorld) -> None:
    account = await world.account(purchased=100)
    funded = await world.tranches.fund(Owner(account), NanoUsd(40))
    await world.settlement.settle([world.charge(account, cost=30, hold=10, tranche=funded.tranche)])
    balance = await world.balance(account)
    assert (balance.purchased, balance.held) == (40, 30)


async def test_a_charge_without_its_account_or_tranche_is_left_out_or_paid_from_what_is_available(
    world: CreditsWorld,
) -> None:
    account, other = await world.account(purchased=10), await world.account(purchased=10)
    funded = await world.tranches.fund(Owner(other), NanoUsd(5))
    done = await world.settlement.settle(
        [
            world.charge(account, cost=1, hold=1, tranche=TrancheId(10**9)),
            world.charge(account, cost=2, hold=2, tranche=funded.tranche),
            world.charge(type(account)(10**9), cost=3),
        ]
    )
    assert [charge.cost for charge in done.charges] == [1, 2]
    assert (await world.balance(account)).purchased == 7
    assert (await world.balance(other)).held == 5
    assert await world.drifts() == []
