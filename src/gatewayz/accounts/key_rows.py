"""API keys in the database: written with a note of who did it, listed a page at a time."""

from collections.abc import Mapping

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from gatewayz.accounts.errors import no_account, no_key
from gatewayz.accounts.limit_names import named
from gatewayz.accounts.model import ApiKeyRecord
from gatewayz.accounts.row_change import insert, update
from gatewayz.core.errors import Conflict
from gatewayz.core.ids import AccountId, ApiKeyId, KeyDigest
from gatewayz.core.money import NanoUsd
from gatewayz.core.page import Page
from gatewayz.storage.audit import Act, note
from gatewayz.storage.database import Database
from gatewayz.storage.outbox import Outbox

_KEYS = """
SELECT k.id, k.account_id, a.username AS account, k.name, k.last_four, k.scopes, k.environment, k.models, k.networks,
       k.limits, k.budget_nano AS budget, k.budget_period, k.pays_unknown_prices,
       extract(epoch FROM k.created_at)::float8 AS created_at, extract(epoch FROM k.expires_at)::float8 AS expires_at,
       extract(epoch FROM k.revoked_at)::float8 AS revoked_at,
       extract(epoch FROM k.former_expires_at)::float8 AS former_expires_at
FROM api_keys k JOIN accounts a ON a.id = k.account_id
"""
# A rotation before the last one's overlap is over ends that overlap.
_ROTATE = """
UPDATE api_keys SET digest = $2, last_four = $3,
    former_digest = CASE WHEN $4::float8 > 0 THEN digest END,
    former_expires_at = CASE WHEN $4::float8 > 0 THEN now() + make_interval(secs => $4) END
WHERE id = $1
"""


class KeyRows:
    """No worker's cache holds what a write has changed once that returns."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def has_any(self) -> bool:
        return bool(await self._database.fetch_value("SELECT EXISTS (SELECT FROM api_keys)"))

    async def has_digest(self, digest: KeyDigest) -> bool:
        return bool(await self._database.fetch_value("SELECT EXISTS (SELECT FROM api_keys WHERE digest = $1)", digest))

    async def add(
        self, account: str | AccountId, columns: Mapping[str, object], *, credits_added: NanoUsd, act: Act
    ) -> ApiKeyRecord:
        """Store the key. An account that is named is made if it is new; one that is numbered must exist."""
        async with self._outbox.transaction() as connection:
            account_id = await _account(connection, account, credits_added, act)
            every = {**columns, "account_id": account_id}
            key_id: ApiKeyId = await connection.fetchval(insert("api_keys", every), *every.values())
            record = await _get(connection, key_id)
            await note(connection, act, "key.create", key_id, after=record)
        return record

    async def list_keys(
        self, *, account_id: int | None = None, limit: int | None = None, offset: int = 0
    ) -> Page[ApiKeyRecord]:
        """The oldest first."""
        async with self._database.connection() as connection:
            where = "WHERE $1::bigint IS NULL OR k.account_id = $1"
            total = await connection.fetchval(f"SELECT count(*) FROM api_keys k {where}", account_id)  # noqa: S608  ours
            rows = await connection.fetch(
                f"{_KEYS} {where} ORDER BY k.created_at, k.id LIMIT $2 OFFSET $3", account_id, limit, offset
            )
        return Page(tuple(map(_record, rows)), total)

    async def get(self, key_id: ApiKeyId) -> ApiKeyRecord:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            return await _get(connection, key_id)

    async def change(self, key_id: ApiKeyId, columns: Mapping[str, object], act: Act) -> ApiKeyRecord:
        """Raises NotFound, or Conflict where the key is revoked."""
        async with self._outbox.transaction() as connection:
            before = await _get_unrevoked(connection, key_id)
            if columns:
                await connection.execute(update("api_keys", columns), key_id, *columns.values())
            after = await _get(connection, key_id)
            if after != before:
                await note(connection, act, "key.change", key_id, before=before, after=after)
        return after

    async def rotate(
        self, key_id: ApiKeyId, digest: KeyDigest, last_four: str, *, overlap: float, act: Act
    ) -> ApiKeyRecord:
        """Raises NotFound, or Conflict where the key is revoked."""
        async with self._outbox.transaction() as connection:
            before = await _get_unrevoked(connection, key_id)
            await connection.execute(_ROTATE, key_id, digest, last_four, overlap)
            after = await _get(connection, key_id)
            await note(connection, act, "key.rotate", key_id, before=before, after=after)
        return after

    async def revoke(self, key_id: ApiKeyId, act: Act) -> ApiKeyRecord:
        """Revoking twice changes and notes nothing. Raises NotFound."""
        async with self._outbox.transaction() as connection:
            before = await _get(connection, key_id, for_update=True)
            if before.revoked_at is not None:
                return before
            await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_id)
            after = await _get(connection, key_id)
            await note(connection, act, "key.revoke", key_id, before=before, after=after)
        return after


async def _account(
    connection: PoolConnectionProxy, account: str | AccountId, credits_added: NanoUsd, act: Act
) -> AccountId:
    if not isinstance(account, str):
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE id = $1)", account):
            raise no_account(account)
        return account
    account_id: AccountId | None = await connection.fetchval(
        "INSERT INTO accounts (username) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id", account
    )
    if account_id is not None:
        await note(connection, act, "account.create", account_id)
    else:
        account_id = await connection.fetchval("SELECT id FROM accounts WHERE username = $1", account)
    if account_id is None:
        raise no_account(account)
    if credits_added:
        grant = "SELECT credits_grant($1, $2, $3, $4)"
        await connection.execute(grant, account_id, credits_added, act.reason or "with a new API key", act.actor)
    return account_id


async def _get(connection: PoolConnectionProxy, key_id: ApiKeyId, *, for_update: bool = False) -> ApiKeyRecord:
    row = await connection.fetchrow(f"{_KEYS} WHERE k.id = $1 {'FOR UPDATE OF k' if for_update else ''}", key_id)
    if row is None:
        raise no_key(key_id)
    return _record(row)


async def _get_unrevoked(connection: PoolConnectionProxy, key_id: ApiKeyId) -> ApiKeyRecord:
    record = await _get(connection, key_id, for_update=True)
    if record.revoked_at is not None:
        raise Conflict(f"the API key {key_id!r} is revoked, for good; make a new one")
    return record


def _record(row: Record) -> ApiKeyRecord:
    fields = dict(row)
    for name in ("scopes", "models"):
        fields[name] = tuple(fields[name])
    fields["networks"] = tuple(map(str, fields["networks"]))
    fields["limits"] = named(fields["limits"])
    return ApiKeyRecord(**fields)
