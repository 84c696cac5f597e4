"""What plans and trials give for a time: granted at the first touch of its time, taken back when that has ended.

Everything here runs in its caller's transaction, under the lock of the account's balance.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.core.ids import AccountId

_PROMISED = """
SELECT coalesce(p.allowance_nano, 0) AS plan, coalesce(t.allowance_nano, 0) AS trial,
       t.started_at AS trial_starts_at, t.ends_at AS trial_ends_at
FROM accounts a LEFT JOIN trials t ON t.account_id = a.id
LEFT JOIN plans p ON p.id = CASE WHEN a.plan_ends_at <= $2 THEN a.next_plan_id ELSE a.plan_id END
WHERE a.id = $1
"""
_GIVEN = """
SELECT id, source, starts_at, ends_at, granted, remaining, expired_at FROM allowances
WHERE account_id = $1 AND (expired_at IS NULL OR source = 'trial' OR ends_at > $2) ORDER BY ends_at, id
"""
_GIVE = """
INSERT INTO allowances (account_id, source, starts_at, ends_at, granted, remaining) VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (account_id, source, starts_at) DO UPDATE SET
    ends_at = excluded.ends_at, granted = excluded.granted, expired_at = NULL,
    remaining = allowances.remaining + excluded.granted - allowances.granted
"""
_EXPIRE = """
UPDATE allowances a SET remaining = 0, expired_at = $2 FROM (
    SELECT id, remaining FROM allowances WHERE account_id = $1 AND expired_at IS NULL AND ends_at <= $2 FOR UPDATE
) old WHERE a.id = old.id RETURNING old.id, old.remaining
"""
_MOVE_END = "UPDATE allowances SET ends_at = $2 WHERE id = $1"
_OPEN = """
SELECT id, remaining FROM allowances WHERE account_id = $1 AND remaining > 0 ORDER BY ends_at, id
"""
_TAKE = """
UPDATE allowances a SET remaining = remaining - s.amount FROM unnest($1::bigint[], $2::bigint[]) AS s (id, amount)
WHERE a.id = s.id
"""
_POST = "SELECT ledger_post($1, $2, $3, $4, $5)"


class Promise(Struct, frozen=True):
    """What an account is to have in the time from `starts_at` to `ends_at`."""

    source: str
    starts_at: datetime
    ends_at: datetime
    amount: int


class Share(Struct, frozen=True):
    allowance_id: int
    amount: int


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The month in UTC, from its first moment to that of the next."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=32)).replace(day=1)


async def touch(connection: PoolConnectionProxy, account: AccountId, now: datetime) -> None:
    """Bring the account's allowances to this moment. Doing it twice changes nothing."""
    promised = await connection.fetchrow(_PROMISED, account, now)
    given = await connection.fetch(_GIVEN, account, now)
    for row in given:
        if row["source"] == "trial" and row["expired_at"] is None:
            # A trial may be made longer, shorter, or be ended while it runs.
            is_same = row["starts_at"] == promised["trial_starts_at"]
            ends_at = promised["trial_ends_at"] if is_same else min(now, row["ends_at"])
            if ends_at != row["ends_at"]:
                await connection.execute(_MOVE_END, row["id"], ends_at)
    await _expire(connection, account, now)
    for promise in _promises(promised, now):
        await _give(connection, account, promise, given)


async def shares_of(connection: PoolConnectionProxy, account: AccountId, amount: int) -> list[Share]:
    """Take `amount` out of what remains of the account's allowances, of what ends soonest first. The ledger's book is
    the caller's to move.
    """
    shares = []
    for row in await connection.fetch(_OPEN, account):
        taken = min(amount, row["remaining"])
        if taken:
            shares.append(Share(row["id"], taken))
            amount -= taken
    await connection.execute(_TAKE, [each.allowance_id for each in shares], [each.amount for each in shares])
    return shares


async def give_back(connection: PoolConnectionProxy, shares: Iterable[Share], now: datetime) -> int:
    """Put shares back; returns how much of them goes back to the account. The rest has ended meanwhile."""
    back = 0
    for share in shares:
        row = await connection.fetchrow(
            "UPDATE allowances SET remaining = remaining + $2 "
            "WHERE id = $1 AND expired_at IS NULL AND ends_at > $3 RETURNING id",
            share.allowance_id,
            share.amount,
            now,
        )
        back += share.amount if row is not None else 0
    return back


async def _expire(connection: PoolConnectionProxy, account: AccountId, now: datetime) -> None:
    gone = sum(row["remaining"] for row in await connection.fetch(_EXPIRE, account, now))
    if gone:
        books, amounts = ["allowance", "expired"], [-gone, gone]
        await connection.execute(_POST, account, "expiry", books, amounts, "the time of an allowance has ended")


def _promises(promised: Record, now: datetime) -> Iterable[Promise]:
    if promised["plan"]:
        yield Promise("plan", *month_of(now), promised["plan"])
    if promised["trial"] and promised["trial_ends_at"] > now:
        yield Promise("trial", promised["trial_starts_at"], promised["trial_ends_at"], promised["trial"])


async def _give(connection: PoolConnectionProxy, account: AccountId, promise: Promise, given: Sequence[Record]) -> None:
    """Grant what the account was not granted before: all, or the difference where it was raised since."""
    before = sum(
        row["granted"] for row in given if (row["source"], row["starts_at"]) == (promise.source, promise.starts_at)
    )
    more = promise.amount - before
    if more > 0:
        await connection.execute(_GIVE, account, promise.source, promise.starts_at, promise.ends_at, promise.amount)
        books, amounts = ["allowance", "allowances"], [more, -more]
        await connection.execute(_POST, account, "allowance", books, amounts, f"of the {promise.source}")
