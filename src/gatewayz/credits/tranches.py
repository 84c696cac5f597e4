"""Tranches in the database: money moved from available to held and back. See docs/adr/0008.

Each method is one transaction, which begins by locking the account's balance: nothing else posts for that account
until it has ended.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.core.clock import Clock
from gatewayz.core.errors import InsufficientQuota
from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.money import NanoUsd, plain, usd
from gatewayz.credits import allowances
from gatewayz.credits.allowances import Share
from gatewayz.credits.capture import Draw, release
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.model import Funded, Owner
from gatewayz.storage.database import Database

_LOCK = "SELECT purchased, allowance FROM credit_balances WHERE account_id = $1 FOR UPDATE"
_READ = "SELECT purchased, allowance FROM credit_balances WHERE account_id = $1"
_KNOWN = """
SELECT from_allowance + from_purchased AS filled, opened_at FROM tranches
WHERE id = $1 AND account_id = $2 AND key_id IS NOT DISTINCT FROM $3 AND place = $4
AND retired_at IS NULL
"""
_OPEN = "INSERT INTO tranches (account_id, key_id, place, opened_at) VALUES ($1, $2, $3, $4) RETURNING id"
_FILL = """
UPDATE tranches SET from_allowance = from_allowance + $2, from_purchased = from_purchased + $3 WHERE id = $1
"""
_DRAW = """
INSERT INTO tranche_draws (tranche_id, number, allowance_id, amount)
SELECT $1, d.number + (SELECT count(*) FROM tranche_draws WHERE tranche_id = $1), d.allowance_id, d.amount
FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS d (allowance_id, amount, number)
"""
_DRAWS = "SELECT number, allowance_id, amount, released FROM tranche_draws WHERE tranche_id = $1 ORDER BY number"
_UNDRAW = """
UPDATE tranche_draws d SET released = d.released + b.amount FROM unnest($2::int[], $3::bigint[]) AS b (number, amount)
WHERE d.tranche_id = $1 AND d.number = b.number
"""
_POST = "SELECT ledger_post($1, $2, $3, $4, tranche => $5)"
_BUDGET = "SELECT budget_nano, budget_period FROM api_keys WHERE id = $1 AND account_id = $2"
_SPENT = "SELECT coalesce(sum(charged), 0)::bigint FROM usage_by_day WHERE key_id = $1 AND day >= $2"
_HELD = """
SELECT coalesce(sum(rest), 0)::bigint FROM tranches WHERE account_id = $1 AND key_id = $2 AND closed_at IS NULL
"""
_LOCKED = """
SELECT rest, opened_at, retired_at FROM tranches
WHERE account_id = $1 AND ($2::text IS NULL OR key_id = $2) AND closed_at IS NULL AND rest > 0
"""
_UNRETIRED = """
SELECT id, account_id, key_id, place, opened_at FROM tranches
WHERE retired_at IS NULL AND opened_at <= $1 AND ($2::text IS NULL OR place = $2) ORDER BY opened_at
"""
_CLOSABLE = "SELECT id FROM tranches WHERE closed_at IS NULL AND retired_at <= $1 ORDER BY retired_at LIMIT 1000"

_LEAST_AGE = 0.1
"""Seconds: a pace is not told by less."""


class OpenTranche(Struct, frozen=True):
    id: TrancheId
    owner: Owner
    age: float


class Tranches:
    """Raises Unavailable where the database cannot be reached."""

    def __init__(self, database: Database, config: CreditsConfig, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    async def fund(
        self, owner: Owner, need: NanoUsd, tranche: TrancheId | None = None, *, hold: NanoUsd | None = None
    ) -> Funded:
        """Hold at least `need` for requests to come, in `tranche` if that is the owner's and still open, else in a new
        one. How much more is by `hold`, what one request needs, and by how fast the tranche has been spent up to now:
        `need` is less where a purse lacks only a part of a hold. Raises InsufficientQuota.
        """
        if need <= 0:
            raise ValueError(f"a tranche is filled with more than {need} nano-dollars")
        now = self._now()
        async with self._database.connection() as connection, connection.transaction():
            await _balance(connection, owner.account_id, _LOCK)
            await allowances.touch(connection, owner.account_id, now)
            balance = await _balance(connection, owner.account_id, _READ)
            available: int = balance["purchased"] + balance["allowance"]
            within, limit = available, "the account"
            if owner.key_id is not None:
                budget = await self._budget_left(connection, owner.account_id, owner.key_id, now)
                if budget is not None and budget < available:
                    within, limit = budget, "the key's budget"
            if within < need:
                raise await self._insufficient(connection, owner, need, max(within, 0), limit, now)
            known = tranche and await connection.fetchrow(_KNOWN, tranche, owner.account_id, owner.key_id, owner.place)
            wanted = max((hold or need) * self._config.holds_per_tranche, self._soon_spent(known, now) if known else 0)
            amount = max(need, min(wanted, within // self._config.tranche_share))
            if tranche is None or not known:
                tranche = await connection.fetchval(_OPEN, owner.account_id, owner.key_id, owner.place, now)
            await _draw(connection, owner.account_id, tranche, amount, balance["allowance"])
        return Funded(tranche=tranche, amount=NanoUsd(amount), is_new=not known)

    async def release(self, tranche: TrancheId, amount: NanoUsd) -> NanoUsd:
        """Give `amount` back, or all that the tranche still holds if that is less; returns how much it was."""
        async with self._tranche(tranche) as (connection, row):
            return await self._release(connection, row, amount)

    async def retire(self, tranche: TrancheId, left: NanoUsd) -> NanoUsd:
        """No request may get a hold of it any more; `left`, which no request has, goes back."""
        async with self._tranche(tranche) as (connection, row):
            await connection.execute(
                "UPDATE tranches SET retired_at = coalesce(retired_at, $2) WHERE id = $1", tranche, self._now()
            )
            return await self._release(connection, row, left)

    async def close(self, tranche: TrancheId) -> NanoUsd:
        """No request under it runs any more: all that it still holds goes back."""
        async with self._tranche(tranche) as (connection, row):
            released = await self._release(connection, row, row["rest"])
            await connection.execute(
                "UPDATE tranches SET retired_at = coalesce(retired_at, $2), closed_at = coalesce(closed_at, $2) "
                "WHERE id = $1",
                tranche,
                self._now(),
            )
            return released

    async def list_unretired(self, *, older_than: float, place: str | None = None) -> list[OpenTranche]:
        """Tranches that may still give holds and were opened at least so many seconds ago, the oldest first."""
        now = self._now()
        rows = await self._database.fetch(_UNRETIRED, now - timedelta(seconds=older_than), place)
        return [
            OpenTranche(
                row["id"],
                Owner(row["account_id"], row["key_id"], row["place"]),
                (now - row["opened_at"]).total_seconds(),
            )
            for row in rows
        ]

    async def list_closable(self) -> list[TrancheId]:
        """Retired ones under which no request can run any more."""
        rows = await self._database.fetch(_CLOSABLE, self._now() - self._close_after())
        return [row["id"] for row in rows]

    async def touch(self, account: AccountId) -> None:
        """Grant the account what is due to it for the time that has begun, and take back what has ended."""
        async with self._database.connection() as connection, connection.transaction():
            await _balance(connection, account, _LOCK)
            await allowances.touch(connection, account, self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _close_after(self) -> timedelta:
        return timedelta(seconds=self._config.longest_request + self._config.close_margin)

    def _soon_spent(self, tranche: Record, now: datetime) -> int:
        """What will be taken out of its purse in a while, at the pace of all its time: it is empty now."""
        age = max((now - tranche["opened_at"]).total_seconds(), _LEAST_AGE)
        return int(tranche["filled"] * self._config.tranche_lasts / age)

    @asynccontextmanager
    async def _tranche(self, tranche: TrancheId) -> AsyncIterator[tuple[PoolConnectionProxy, Record]]:
        async with self._database.connection() as connection, connection.transaction():
            account = await connection.fetchval("SELECT account_id FROM tranches WHERE id = $1", tranche)
            await _balance(connection, account, _LOCK)
            yield connection, await connection.fetchrow("SELECT * FROM tranches WHERE id = $1 FOR UPDATE", tranche)

    async def _release(self, connection: PoolConnectionProxy, row: Record, amount: int) -> NanoUsd:
        amount = min(amount, row["rest"])
        if amount <= 0:
            return NanoUsd(0)
        draws = [Draw(**each) for each in await connection.fetch(_DRAWS, row["id"])]
        back = release(draws, row["captured"], amount)
        await connection.execute(_UNDRAW, row["id"], [each.number for each in back], [each.amount for each in back])
        await connection.execute("UPDATE tranches SET released = released + $2 WHERE id = $1", row["id"], amount)
        shares = [Share(each.allowance_id, each.amount) for each in back if each.allowance_id is not None]
        allowance = await allowances.give_back(connection, shares, self._now())
        purchased = amount - sum(share.amount for share in shares)
        books = ["held", "purchased", "allowance", "expired"]
        amounts = [-amount, purchased, allowance, amount - purchased - allowance]
        await connection.execute(_POST, row["account_id"], "release", books, amounts, row["id"])
        return NanoUsd(amount)

    async def _budget_left(
        self, connection: PoolConnectionProxy, account: AccountId, key: ApiKeyId, now: datetime
    ) -> int | None:
        row = await connection.fetchrow(_BUDGET, key, account)
        if row is None or row["budget_nano"] is None:
            return None
        spent: int = await connection.fetchval(_SPENT, key, _period_start(row["budget_period"], now))
        held: int = await connection.fetchval(_HELD, account, key)
        left: int = row["budget_nano"] - spent - held
        return left

    async def _insufficient(  # noqa: PLR0917  all that the sentence needs
        self, connection: PoolConnectionProxy, owner: Owner, need: int, available: int, limit: str, now: datetime
    ) -> InsufficientQuota:
        key = owner.key_id if limit != "the account" else None
        locked = await connection.fetch(_LOCKED, owner.account_id, key)
        after = self._free_after(locked, need - available, now)
        remedy = "add credits" if after is None else f"more of it is free in about {after:.0f} s"
        message = (
            f"the request may cost up to {plain(usd(NanoUsd(need)))} US dollars and {limit} has "
            f"{plain(usd(NanoUsd(available)))} left; {remedy}"
        )
        return InsufficientQuota(message, needed=need, available=available, retry_after=after)

    def _free_after(self, locked: Sequence[Record], missing: int, now: datetime) -> float | None:
        """Seconds until so much of what is held may be available again, if all of it comes back; None: never."""
        frees = sorted((self._frees_at(row, now), row["rest"]) for row in locked)
        for at, rest in frees:
            missing -= rest
            if missing <= 0:
                return max((at - now).total_seconds(), 0) + self._config.tend_every
        return None

    def _frees_at(self, row: Record, now: datetime) -> datetime:
        if row["retired_at"] is not None:
            closed: datetime = row["retired_at"] + self._close_after()
            return closed
        retired: datetime = row["opened_at"] + timedelta(seconds=self._config.retire_after)
        return min(retired, now + timedelta(seconds=self._config.retire_idle))


async def _balance(connection: PoolConnectionProxy, account: AccountId, sql: str) -> Record:
    return await connection.fetchrow(sql, account)


async def _draw(
    connection: PoolConnectionProxy, account: AccountId, tranche: TrancheId, amount: int, given: int
) -> None:
    allowance = min(amount, given)
    purchased = amount - allowance
    shares = await allowances.shares_of(connection, account, allowance) if allowance else []
    helpings: list[tuple[int | None, int]] = [(share.allowance_id, share.amount) for share in shares]
    if purchased:
        helpings.append((None, purchased))
    await connection.execute(_FILL, tranche, allowance, purchased)
    await connection.execute(_DRAW, tranche, [each for each, _ in helpings], [helping for _, helping in helpings])
    books, amounts = ["allowance", "purchased", "held"], [-allowance, -purchased, amount]
    await connection.execute(_POST, account, "fund", books, amounts, tranche)


def _period_start(period: str, now: datetime) -> date:
    """The first day in UTC that counts for a budget of this period."""
    if period == "day":
        return now.date()
    return allowances.month_of(now)[0].date() if period == "month" else date.min
