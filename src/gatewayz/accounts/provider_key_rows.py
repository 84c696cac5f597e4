"""Accounts' own keys at providers in the database: sealed, and written with a note of who did it."""

import asyncpg
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from gatewayz.accounts.errors import no_account
from gatewayz.accounts.model import ProviderKeyRecord, SealedKey
from gatewayz.accounts.repository import sealed_key_of
from gatewayz.core.ids import AccountId
from gatewayz.storage.audit import Act, note
from gatewayz.storage.database import Database
from gatewayz.storage.outbox import Outbox

_RECORDS = """
SELECT id, account_id, provider, last_four, extract(epoch FROM created_at)::float8 AS created_at FROM provider_keys
WHERE account_id = $1
"""
_SET = """
INSERT INTO provider_keys (account_id, provider, id, last_four, sealed_by, sealed) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account_id, provider) DO UPDATE SET
    id = excluded.id, last_four = excluded.last_four, sealed_by = excluded.sealed_by, sealed = excluded.sealed,
    created_at = excluded.created_at
"""
# By its id: a key that came in its place meanwhile is sealed anew already.
_RESEAL = "UPDATE provider_keys SET sealed_by = $2, sealed = $3 WHERE id = $1"


class ProviderKeyRows:
    """No worker's cache holds what a write has changed once that returns."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def set(self, account_id: AccountId, key: SealedKey, act: Act) -> ProviderKeyRecord:
        """Raises NotFound for an account that is not there."""
        async with self._outbox.transaction() as connection:
            before = await _find(connection, account_id, key.provider)
            row = (account_id, key.provider, key.id, key.last_four, key.sealed_by, key.sealed)
            try:
                await connection.execute(_SET, *row)
            except asyncpg.ForeignKeyViolationError as error:
                raise no_account(account_id) from error
            after = await _find(connection, account_id, key.provider)
            assert after is not None  # noqa: S101  it was just written
            await note(connection, act, "provider_key.set", account_id, before=before, after=after)
        return after

    async def list_keys(self, account_id: AccountId) -> tuple[ProviderKeyRecord, ...]:
        """Raises NotFound for an account that is not there."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(f"{_RECORDS} ORDER BY provider", account_id)
            if not rows and not await connection.fetchval("SELECT true FROM accounts WHERE id = $1", account_id):
                raise no_account(account_id)
        return tuple(map(_record, rows))

    async def remove(self, account_id: AccountId, provider: str, act: Act) -> bool:
        """False if there is none."""
        async with self._outbox.transaction() as connection:
            before = await _find(connection, account_id, provider)
            if before is None:
                return False
            await connection.execute(
                "DELETE FROM provider_keys WHERE account_id = $1 AND provider = $2", account_id, provider
            )
            await note(connection, act, "provider_key.remove", account_id, before=before)
        return True

    async def sealed_otherwise(self, by: str) -> list[tuple[AccountId, SealedKey]]:
        """Those that another key than this has sealed."""
        rows = await self._database.fetch(
            "SELECT account_id, id, provider, last_four, sealed_by, sealed FROM provider_keys WHERE sealed_by <> $1", by
        )
        return [(AccountId(row["account_id"]), sealed_key_of(row)) for row in rows]

    async def reseal(self, key: SealedKey, by: str, box: bytes) -> bool:
        """False where the key is not there any more."""
        async with self._outbox.transaction() as connection:
            done: str = await connection.execute(_RESEAL, key.id, by, box)
        return done == "UPDATE 1"


async def _find(connection: PoolConnectionProxy, account_id: AccountId, provider: str) -> ProviderKeyRecord | None:
    row = await connection.fetchrow(f"{_RECORDS} AND provider = $2 FOR UPDATE", account_id, provider)
    return None if row is None else _record(row)


def _record(row: Record) -> ProviderKeyRecord:
    return ProviderKeyRecord(**dict(row))
