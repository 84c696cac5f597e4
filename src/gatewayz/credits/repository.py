"""What credits can be asked: balances, usage, single requests, the ledger. Only reads, and the cached balance."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime

from asyncpg import Record
from msgspec import Struct

from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.tables import Table
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.money import NanoUsd
from gatewayz.core.page import Page
from gatewayz.credits.allowances import month_of
from gatewayz.credits.model import Balance, Generation, Posting
from gatewayz.storage.database import Database

BY = {"day": "day", "key": "key_id", "model": "model", "provider": "provider"}
"""By what usage can be summed, and the column that says it."""

_PAGE = 1000
_BALANCE = "SELECT purchased, allowance, held FROM credit_balances WHERE account_id = $1"
_BALANCES = """
SELECT a.username AS account, b.purchased, b.allowance, b.held, count(*) OVER () AS total
FROM credit_balances b JOIN accounts a ON a.id = b.account_id
WHERE $1::text IS NULL OR a.username = $1 ORDER BY a.username LIMIT $2 OFFSET $3
"""
_GENERATION = """
SELECT request_id AS id, key_id, model, provider, native_id, prompt_tokens, completion_tokens, cached_tokens,
       cache_write_tokens, reasoning_tokens, cost, charged, refunded,
       cache_status, is_stream, is_own_key, latency, extract(epoch FROM ended_at)::float8 AS ended_at
FROM charges WHERE request_id = $1 AND account_id = $2
"""
_POSTINGS = """
SELECT t.id, a.username AS account, t.kind, t.reason, t.made_by, t.reference, t.tranche_id AS tranche, t.request_id,
       extract(epoch FROM t.created_at)::float8 AS created_at,
       array_agg(e.book ORDER BY e.book) AS books, array_agg(e.amount ORDER BY e.book) AS amounts
FROM ledger_transactions t JOIN accounts a ON a.id = t.account_id JOIN ledger_entries e ON e.transaction_id = t.id
WHERE ($1::text IS NULL OR a.username = $1) AND ($2::text IS NULL OR t.kind = $2) AND t.id < $3
GROUP BY t.id, a.username ORDER BY t.id DESC LIMIT $4
"""
_DUE = """
SELECT w.account_id FROM allowances w WHERE w.expired_at IS NULL AND (
    w.ends_at <= $1 OR w.source = 'trial' AND NOT EXISTS (
        SELECT FROM trials t
        WHERE t.account_id = w.account_id AND t.started_at = w.starts_at AND t.ends_at = w.ends_at))
UNION
SELECT a.id FROM accounts a
JOIN plans p ON p.id = CASE WHEN a.plan_ends_at <= $1 THEN a.next_plan_id ELSE a.plan_id END
WHERE a.is_active AND p.allowance_nano > 0 AND NOT EXISTS (
    SELECT FROM allowances w WHERE w.account_id = a.id AND w.source = 'plan' AND w.starts_at = $2)
UNION
SELECT t.account_id FROM trials t WHERE t.ends_at > $1 AND NOT EXISTS (
    SELECT FROM allowances w WHERE w.account_id = t.account_id AND w.source = 'trial' AND w.starts_at = t.started_at)
LIMIT 1000
"""


class AccountBalance(Struct, frozen=True, kw_only=True):
    account: str
    balance: Balance


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums over the requests that have the same day, key, model and provider, as far as asked to tell them apart."""

    day: date | None = None
    key: ApiKeyId | None = None
    model: str | None = None
    provider: str | None = None
    requests: int
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: NanoUsd
    charged: NanoUsd


class UsageAsked(Struct, frozen=True, kw_only=True):
    """Usage of an account from `first` to `last` day in UTC, both included, by some of `BY`; of one key if named."""

    account: AccountId
    first: date
    last: date
    by: tuple[str, ...]
    key: ApiKeyId | None = None


async def find_balance(database: Database, account: str) -> Balance | None:
    row = await database.fetch_row(_BALANCE, int(account))
    return None if row is None else Balance(**row)


BALANCE: Entity[str, Balance] = Entity(
    name="db:credits",
    value=Balance,
    load=find_balance,
    policy=Policy(fresh=60, stale=0),
    filled_from=(Table("credit_balances", key="account_id"),),
)
"""By the account's id as text."""

ENTITIES = (BALANCE,)


class CreditsRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_balances(self, account: str | None, limit: int, offset: int) -> Page[AccountBalance]:
        """Accounts by name."""
        rows = await self._database.fetch(_BALANCES, account, limit, offset)
        found = tuple(
            AccountBalance(
                account=row["account"],
                balance=Balance(purchased=row["purchased"], allowance=row["allowance"], held=row["held"]),
            )
            for row in rows
        )
        return Page(found, rows[0]["total"] if rows else 0)

    async def find_account(self, name: str) -> AccountId | None:
        found: AccountId | None = await self._database.fetch_value("SELECT id FROM accounts WHERE username = $1", name)
        return found

    async def find_generation(self, request_id: str, account: AccountId) -> Generation | None:
        """A settled request of this account."""
        row = await self._database.fetch_row(_GENERATION, request_id, account)
        return None if row is None else Generation(**row)

    async def list_usage(self, asked: UsageAsked, limit: int, offset: int) -> Page[Usage]:
        """Sums in the order of what they are by."""
        rows = await self._database.fetch(
            _usage_sql(asked.by), asked.account, asked.first, asked.last, asked.key, limit, offset
        )
        return Page(tuple(_usage(row, asked.by) for row in rows), rows[0]["total"] if rows else 0)

    async def every_usage(self, asked: UsageAsked) -> AsyncIterator[Usage]:
        """All sums. No connection is held while the receiver takes its time."""
        offset = 0
        while True:
            page = await self.list_usage(asked, _PAGE, offset)
            for usage in page.items:
                yield usage
            offset += _PAGE
            if offset >= page.total:
                return

    async def list_postings(
        self, *, account: str | None = None, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[Posting]:
        """Transactions of the ledger, the newest first, those with smaller ids than `before` only."""
        below = (1 << 63) - 1 if before is None else before
        return [_posting(row) for row in await self._database.fetch(_POSTINGS, account, kind, below, limit)]

    async def list_due_accounts(self, now: float) -> Sequence[AccountId]:
        """Accounts whose allowance has ended, or to which one is due that they have not touched yet."""
        moment = datetime.fromtimestamp(now, UTC)
        return [row["account_id"] for row in await self._database.fetch(_DUE, moment, month_of(moment)[0])]


def _usage_sql(by: Sequence[str]) -> str:
    columns = "".join(f"{BY[each]}, " for each in by)
    group = ", ".join(str(number) for number in range(1, len(by) + 1))
    sums = ("requests", "cache_hits", "prompt_tokens", "completion_tokens", "cached_tokens", "cost", "charged")
    return (
        f"SELECT {columns}{', '.join(f'sum({each})::bigint AS {each}' for each in sums)}, "  # noqa: S608  names of BY
        "count(*) OVER () AS total FROM usage_by_day "
        "WHERE account_id = $1 AND day BETWEEN $2 AND $3 AND ($4::text IS NULL OR key_id = $4) "
        f"{f'GROUP BY {group} ORDER BY {group}' if by else 'HAVING count(*) > 0'} LIMIT $5 OFFSET $6"
    )


def _usage(row: Record, by: Sequence[str]) -> Usage:
    fields = {name: row[name] for name in row.keys() if name in Usage.__struct_fields__}  # noqa: SIM118  a Record
    return Usage(**{**fields, **{each: row[BY[each]] for each in by}})


def _posting(row: Record) -> Posting:
    fields = dict(row)
    return Posting(entries=dict(zip(fields.pop("books"), fields.pop("amounts"), strict=True)), **fields)
