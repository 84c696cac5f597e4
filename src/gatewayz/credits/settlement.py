"""Charges into the database: written once by request id, and paid out of what was held for them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.core.ids import AccountId, TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits import allowances
from gatewayz.credits.capture import AccountCapture, Pockets, capture
from gatewayz.credits.model import Charge
from gatewayz.storage.database import Database

_COLUMNS = {
    "request_id": "text",
    "account_id": "bigint",
    "key_id": "text",
    "model": "text",
    "provider": "text",
    "native_id": "text",
    "prompt_tokens": "bigint",
    "completion_tokens": "bigint",
    "cached_tokens": "bigint",
    "cache_write_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "cost": "bigint",
    "tranche": "bigint",
    "cache_status": "text",
    "is_stream": "boolean",
    "is_own_key": "boolean",
    "latency": "float8",
    "ended_at": "float8",
}
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_COLUMNS.values(), 1))
# In the order of their ids: two who settle the same charges wait for one another, and never both ways.
_INSERT = f"""
INSERT INTO charges (request_id, account_id, key_id, model, provider, native_id, prompt_tokens, completion_tokens,
                     cached_tokens, cache_write_tokens, reasoning_tokens, cost, charged, tranche_id, cache_status,
                     is_stream, is_own_key, latency, ended_at)
SELECT c.request_id, c.account_id, c.key_id, c.model, c.provider, c.native_id, c.prompt_tokens, c.completion_tokens,
       c.cached_tokens, c.cache_write_tokens, c.reasoning_tokens, c.cost, c.cost, c.tranche, c.cache_status,
       c.is_stream, c.is_own_key, c.latency, to_timestamp(c.ended_at)
FROM unnest({_ARRAYS}) AS c ({", ".join(_COLUMNS)})
WHERE EXISTS (SELECT FROM accounts a WHERE a.id = c.account_id)
ORDER BY c.request_id
ON CONFLICT DO NOTHING RETURNING request_id
"""  # noqa: S608  constants of this module
_BALANCES = """
SELECT account_id, allowance, purchased FROM credit_balances WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE
"""
_TRANCHES = """
SELECT t.id, t.account_id, t.rest FROM tranches t WHERE t.id = ANY($1) AND t.rest > 0 ORDER BY t.id FOR UPDATE
"""
_CAPTURE = """
UPDATE tranches t SET captured = t.captured + c.amount FROM unnest($1::bigint[], $2::bigint[]) AS c (id, amount)
WHERE t.id = c.id
"""
_WRITE_OFF = """
UPDATE charges c SET charged = c.cost - w.amount FROM unnest($1::text[], $2::bigint[]) AS w (request_id, amount)
WHERE c.request_id = w.request_id
"""
_POST = "SELECT ledger_post_each('capture', $1, $2, $3)"
_USAGE = """
INSERT INTO usage_by_day AS u (account_id, day, key_id, model, provider, requests, cache_hits, prompt_tokens,
                               completion_tokens, cached_tokens, cost, charged)
SELECT account_id, (ended_at AT TIME ZONE 'UTC')::date, key_id, model, provider, count(*),
       count(*) FILTER (WHERE cache_status = 'hit'), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
       sum(cost), sum(charged)
FROM charges WHERE request_id = ANY($1) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (account_id, day, key_id, model, provider) DO UPDATE SET
    requests = u.requests + excluded.requests, cache_hits = u.cache_hits + excluded.cache_hits,
    prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = u.completion_tokens + excluded.completion_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    cost = u.cost + excluded.cost, charged = u.charged + excluded.charged
"""


# The journal forgets on the word of this commit, whatever the server's own setting is.
_DURABLE = "SET LOCAL synchronous_commit = on"


_BOOKS = ("held", "allowance", "purchased", "revenue", "write_offs")


class Settled(Struct, frozen=True, kw_only=True):
    """Of a batch: the charges that were new, and what of their cost nobody paid."""

    charges: tuple[Charge, ...]
    written_off: NanoUsd


class Settlement:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, charges: Sequence[Charge]) -> Settled:
        """Write the charges down and take what they cost, in one transaction. One that was settled before is left out,
        so that repeating a batch, or a part of it, changes nothing. Raises Unavailable; then nothing is settled, or all
        is and nobody knows, which is the same after the next try.
        """
        by_id = {charge.request_id: charge for charge in charges}
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_DURABLE)
            rows = await connection.fetch(_INSERT, *_as_columns(by_id.values()))
            fresh = [by_id[row["request_id"]] for row in rows]
            costly = [charge for charge in fresh if charge.cost]
            written_off = await _take(connection, costly) if costly else 0
            if fresh:
                await connection.execute(_USAGE, [charge.request_id for charge in fresh])
        return Settled(charges=tuple(fresh), written_off=NanoUsd(written_off))


def _as_columns(charges: Collection[Charge]) -> list[list[object]]:
    return [[getattr(charge, name) for charge in charges] for name in _COLUMNS]


async def _take(connection: PoolConnectionProxy, charges: Sequence[Charge]) -> int:
    ids = {charge.account_id for charge in charges}
    pockets = {
        row["account_id"]: Pockets(row["allowance"], row["purchased"])
        for row in await connection.fetch(_BALANCES, sorted(ids))
    }
    accounts, captured = capture(charges, await _rests(connection, charges), pockets)
    await connection.execute(_CAPTURE, list(captured), list(captured.values()))
    await connection.execute(_POST, *_lines(accounts))
    for account, taken in accounts.items():
        if taken.allowance:
            await allowances.shares_of(connection, account, taken.allowance)
    written_off = {request: amount for taken in accounts.values() for request, amount in taken.written_off.items()}
    if written_off:
        await connection.execute(_WRITE_OFF, list(written_off), list(written_off.values()))
    return sum(written_off.values())


async def _rests(connection: PoolConnectionProxy, charges: Iterable[Charge]) -> Mapping[TrancheId, int]:
    """What the tranches still hold that the charges name; those of another account do not count."""
    named: dict[TrancheId, AccountId] = {
        charge.tranche: charge.account_id for charge in charges if charge.tranche is not None
    }
    return {
        row["id"]: row["rest"]
        for row in await connection.fetch(_TRANCHES, list(named))
        if named[row["id"]] == row["account_id"]
    }


def _lines(accounts: Mapping[AccountId, AccountCapture]) -> tuple[list[AccountId], list[str], list[int]]:
    """The accounts, books and amounts of every line."""
    named: list[AccountId] = []
    books: list[str] = []
    amounts: list[int] = []
    for account, taken in accounts.items():
        named += [account] * len(_BOOKS)
        books += _BOOKS
        missing = sum(taken.written_off.values())
        amounts += [-taken.held, -taken.allowance, -taken.purchased, taken.cost, -missing]
    return named, books, amounts
