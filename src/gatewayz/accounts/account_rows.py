"""Accounts and their trials in the database: written with a note of who did it, listed a page at a time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gatewayz.accounts.errors import no_account
from gatewayz.accounts.model import Account, Trial
from gatewayz.accounts.repository import ACCOUNT_COLUMNS, TRIAL_COLUMNS, account_of, trial_of
from gatewayz.accounts.row_change import insert, update
from gatewayz.core.errors import Conflict, InvalidRequest
from gatewayz.core.ids import AccountId
from gatewayz.core.page import Page
from gatewayz.storage.audit import Act, note
from gatewayz.storage.database import Database
from gatewayz.storage.outbox import Outbox

_TAKEN = {"accounts_username_key": "username", "accounts_identity_key": "identity"}
_LISTED = "WHERE $1::text IS NULL OR a.username = $1"


class AccountRows:
    """No worker's cache holds what a write has changed once that returns."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def add(self, columns: Mapping[str, object], act: Act) -> Account:
        """Raises Conflict where the name or identity is taken, InvalidRequest for a plan that is not there."""
        async with _named_faults(), self._outbox.transaction() as connection:
            account_id = await connection.fetchval(insert("accounts", columns), *columns.values())
            account = await _get(connection, account_id)
            await note(connection, act, "account.create", account_id, after=account)
        return account

    async def list_accounts(self, *, username: str | None, limit: int, offset: int) -> Page[Account]:
        async with self._database.connection() as connection:
            total = await connection.fetchval(f"SELECT count(*) FROM accounts a {_LISTED}", username)  # noqa: S608  ours
            rows = await connection.fetch(
                f"{ACCOUNT_COLUMNS} {_LISTED} ORDER BY a.id LIMIT $2 OFFSET $3", username, limit, offset
            )
        return Page(tuple(account for row in rows if (account := account_of(row)) is not None), total)

    async def get(self, account_id: AccountId) -> Account:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            return await _get(connection, account_id)

    async def change(self, account_id: AccountId, columns: Mapping[str, object], act: Act) -> Account:
        """Raises NotFound, Conflict and InvalidRequest as above."""
        async with _named_faults(), self._outbox.transaction() as connection:
            before = await _get(connection, account_id, for_update=True)
            if columns:
                await connection.execute(update("accounts", columns), account_id, *columns.values())
            after = await _get(connection, account_id)
            if after != before:
                await note(connection, act, "account.change", account_id, before=before, after=after)
        return after

    async def find_trial(self, account_id: AccountId) -> Trial | None:
        return trial_of(await self._database.fetch_row(f"{TRIAL_COLUMNS} WHERE account_id = $1", account_id))

    async def set_trial(self, account_id: AccountId, allowance: int, ends_at: datetime, act: Act) -> Trial:
        """A trial that is there goes on, with another allowance and end. Raises NotFound, and InvalidRequest where the
        end is past by the database's clock.
        """
        async with self._outbox.transaction() as connection:
            await _get(connection, account_id, for_update=True)
            before = await _trial(connection, account_id)
            if ends_at <= await connection.fetchval("SELECT now()"):
                raise InvalidRequest("'ends_at' must be a moment to come", param="ends_at")
            await connection.execute(
                "INSERT INTO trials (account_id, allowance_nano, ends_at) VALUES ($1, $2, $3) ON CONFLICT (account_id) "
                "DO UPDATE SET allowance_nano = excluded.allowance_nano, ends_at = excluded.ends_at",
                account_id,
                allowance,
                ends_at,
            )
            after = await _trial(connection, account_id)
            await note(connection, act, "trial.set", account_id, before=before, after=after)
        if after is None:
            raise no_account(account_id)
        return after

    async def end_trial(self, account_id: AccountId, act: Act) -> bool:
        """False if there is none."""
        async with self._outbox.transaction() as connection:
            before = await _trial(connection, account_id)
            if before is None:
                return False
            await connection.execute("DELETE FROM trials WHERE account_id = $1", account_id)
            await note(connection, act, "trial.end", account_id, before=before)
        return True


@asynccontextmanager
async def _named_faults() -> AsyncIterator[None]:
    """What the database refuses, as an error that names the field."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        field = _TAKEN.get(error.constraint_name or "", "username")
        raise Conflict(f"another account has this {field!r} already", param=field) from error
    except asyncpg.ForeignKeyViolationError as error:
        field = "next_plan" if "next_plan" in (error.constraint_name or "") else "plan"
        raise InvalidRequest(f"{field!r} names no plan; `gatewayz plans list` shows them", param=field) from error
    except asyncpg.CheckViolationError as error:
        raise InvalidRequest(
            "'plan_ends_at' needs a 'plan' that ends, and 'next_plan' a 'plan_ends_at' from which on it holds",
            param="plan_ends_at",
        ) from error


async def _get(connection: PoolConnectionProxy, account_id: AccountId, *, for_update: bool = False) -> Account:
    lock = "FOR UPDATE OF a" if for_update else ""
    account = account_of(await connection.fetchrow(f"{ACCOUNT_COLUMNS} WHERE a.id = $1 {lock}", account_id))
    if account is None:
        raise no_account(account_id)
    return account


async def _trial(connection: PoolConnectionProxy, account_id: AccountId) -> Trial | None:
    return trial_of(await connection.fetchrow(f"{TRIAL_COLUMNS} WHERE account_id = $1", account_id))
