"""Credits on a real database, with a clock of the test's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

from msgspec import Struct

from gatewayz.app import ENTITIES
from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.ledger import Ledger, Order, Posted
from gatewayz.credits.model import Balance, Charge, Drift
from gatewayz.credits.reconciliation import Reconciliation
from gatewayz.credits.repository import CreditsRepository, find_balance
from gatewayz.credits.settlement import Settlement
from gatewayz.credits.tranches import Tranches
from gatewayz.storage.database import Database
from gatewayz.storage.outbox import Changed, Outbox
from tests.support.fake_clock import FakeClock

_numbers = count(1)


class CreditsWorld(Struct, frozen=True):
    database: Database
    clock: FakeClock
    config: CreditsConfig
    tranches: Tranches
    settlement: Settlement
    ledger: Ledger
    repository: CreditsRepository
    reconciliation: Reconciliation

    async def account(self, *, purchased: int = 0) -> AccountId:
        name = f"account {next(_numbers)}"
        account: AccountId = await self.database.fetch_value(
            "INSERT INTO accounts (username) VALUES ($1) RETURNING id", name
        )
        if purchased:
            await self.grant(account, purchased)
        return account

    async def key(self, account: AccountId, *, budget: int | None = None, period: str = "total") -> ApiKeyId:
        key = f"key_{next(_numbers)}"
        await self.database.fetch_value(
            "INSERT INTO api_keys (id, account_id, name, digest, last_four, budget_nano, budget_period) "
            "VALUES ($1, $2, 'k', $1, '1234', $3, $4)",
            key,
            account,
            budget,
            period,
        )
        return ApiKeyId(key)

    async def plan(self, account: AccountId, allowance: int) -> None:
        await self.database.fetch_value(
            "WITH p AS (INSERT INTO plans (id, name, allowance_nano) VALUES ($2, $2, $3) RETURNING id) "
            "UPDATE accounts SET plan_id = p.id FROM p WHERE accounts.id = $1",
            account,
            f"plan-{next(_numbers)}",
            allowance,
        )

    async def trial(self, account: AccountId, allowance: int, ends_at: float) -> None:
        await self.database.fetch_value(
            "INSERT INTO trials (account_id, allowance_nano, started_at, ends_at) VALUES ($1, $2, '2020-01-01', $3) "
            "ON CONFLICT (account_id) DO UPDATE SET allowance_nano = $2, ends_at = $3",
            account,
            allowance,
            datetime.fromtimestamp(ends_at, UTC),
        )

    async def end_trial(self, account: AccountId) -> None:
        await self.database.fetch_value("DELETE FROM trials WHERE account_id = $1", account)

    async def name(self, account: AccountId) -> str:
        return str(await self.database.fetch_value("SELECT username FROM accounts WHERE id = $1", account))

    async def grant(self, account: AccountId, nano: int, reference: str | None = None) -> Posted:
        return await self.ledger.grant(account, NanoUsd(nano), order(reference))

    async def balance(self, account: AccountId) -> Balance:
        found = await find_balance(self.database, str(account))
        assert found is not None
        return found

    async def drifts(self) -> Sequence[Drift]:
        return await self.reconciliation.drifts()

    def charge(
        self,
        account: AccountId,
        *,
        cost: int,
        hold: int = 0,
        tranche: TrancheId | None = None,
        key: str = "key_x",
        **fields: Any,  # noqa: ANN401  any field of a charge
    ) -> Charge:
        return Charge(
            **{
                "request_id": f"req_{next(_numbers):06}",
                "model": "a/m",
                "provider": "p",
                "ended_at": self.clock.now(),
                **fields,
            },
            account_id=account,
            key_id=ApiKeyId(key),
            cost=NanoUsd(cost),
            hold=NanoUsd(hold),
            tranche=tranche,
        )


def order(reference: str | None = None) -> Order:
    return Order.of(by="test", reason="a test", reference=reference)


async def nobody_caches(_changed: Changed, _position: int) -> bool:
    return True


@asynccontextmanager
async def credits_world(url: str, **settings: Any) -> AsyncIterator[CreditsWorld]:  # noqa: ANN401  any setting
    """In a database that is migrated."""
    database = Database(url, pool_size=4, connect_timeout=5, command_timeout=30)
    await database.open()
    clock, config = FakeClock(), CreditsConfig(**settings)
    try:
        yield CreditsWorld(
            database=database,
            clock=clock,
            config=config,
            tranches=Tranches(database, config, clock),
            settlement=Settlement(database),
            ledger=Ledger(Outbox(database, nobody_caches, [entity.name for entity in ENTITIES]), config),
            repository=CreditsRepository(database),
            reconciliation=Reconciliation(database),
        )
    finally:
        await database.close()
