"""Rows that changed and that not all caches have heard of: claimed, applied, and only then deleted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import structlog
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from gatewayz.storage.database import Database
from gatewayz.storage.triggers import CHANNEL, MOST_KEYS

log = structlog.get_logger("gatewayz.storage")

Changed: TypeAlias = Mapping[str, Collection[str] | None]
"""Keys by the name of the entity they are of; None stands for any key."""

Apply: TypeAlias = Callable[[Changed, int], Awaitable[bool]]
"""Invalidates everywhere; True once nothing is left to be told. Also gets the position in the database's log, in bytes,
that a replica must have replayed to show the change: `pg_last_wal_replay_lsn() - '0/0'`.
"""

_APPLIED_WITHIN = 2.0
_POLL = 1.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_POSITION = "(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_NOTED = "SELECT xact::text FROM cache_outbox WHERE xact = pg_current_xact_id_if_assigned() LIMIT 1"
# Waits for whoever has claimed the rows: if that one commits, they are applied and gone; if not, they are ours.
_CLAIM_OWN = f"""
WITH claimed AS (
    DELETE FROM cache_outbox WHERE xact = $2::text::xid8 AND entity = ANY($1) RETURNING xact, entity, keys
) SELECT xact, entity, keys, {_POSITION} AS position FROM claimed
"""  # noqa: S608  a constant
# Never after the highest id seen: ids commit out of order.
_CLAIM = f"""
WITH claimed AS (
    DELETE FROM cache_outbox WHERE id IN (
        SELECT id FROM cache_outbox WHERE entity = ANY($1) ORDER BY id LIMIT 400 FOR UPDATE SKIP LOCKED
    ) RETURNING xact, entity, keys
) SELECT xact, entity, keys, {_POSITION} AS position FROM claimed
"""  # noqa: S608  a constant
# Told by the commit of the deletion; a transaction of which rows are left is not applied yet.
_TELL = f"""
SELECT pg_notify('{CHANNEL}', json_build_object('type', 'applied', 'xacts', json_agg(xact::text))::text)
FROM unnest($2::text[]::xid8[]) AS xact
WHERE NOT EXISTS (SELECT FROM cache_outbox o WHERE o.xact = xact.xact AND entity = ANY($1))
HAVING count(*) > 0
"""  # noqa: S608  a constant


class NotApplied(Exception):
    """Not every cache could be told. The rows are where they were."""


class Outbox:
    """`apply` knows the entities named; rows of others are left to processes that do."""

    def __init__(self, database: Database, apply: Apply, entities: Iterable[str]) -> None:
        self._database = database
        self._apply = apply
        self._entities = sorted(entities)
        self._woken = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """One transaction, rolled back by any error in the block. When it has ended, no cache holds what it changed.

        Where that cannot be had within 2 s, it is logged and left to `relay`: the block does not fail, as the
        transaction is committed.
        """
        async with self._database.connection() as connection:
            async with connection.transaction():
                yield connection
                xact: str | None = await connection.fetchval(_NOTED)
            if xact is not None:
                await self._apply_own(connection, xact)

    def wake(self) -> None:
        """Have `relay` look now."""
        self._woken.set()

    async def relay(self) -> None:
        """Apply what others left, for ever: changes made by hand, and those of writers that died after their commit.

        Several at once share the rows out; one is enough.
        """
        pause = _FIRST_PAUSE
        while True:
            self._woken.clear()
            try:
                while await self.apply_next():
                    pass
            except NotApplied:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            try:
                async with asyncio.timeout(_POLL):
                    await self._woken.wait()
            except TimeoutError:
                pass  # a notification may have been missed

    async def backlog(self) -> int:
        """How many notes of changes wait to be applied. Raises Unavailable."""
        count: int = await self._database.fetch_value("SELECT count(*) FROM cache_outbox")
        return count

    async def apply_next(self) -> int:
        """Claim and apply the oldest rows that nobody else has; returns how many. Raises NotApplied."""
        async with self._database.connection() as connection:
            return await self._settle(connection, _CLAIM)

    async def _apply_own(self, connection: PoolConnectionProxy, xact: str) -> None:
        try:
            async with asyncio.timeout(_APPLIED_WITHIN):
                await self._settle(connection, _CLAIM_OWN, xact)
        except (NotApplied, TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("change_not_applied_yet", transaction=xact, reason=f"{type(error).__name__}: {error}")

    async def _settle(self, connection: PoolConnectionProxy, claim: str, *which: str) -> int:
        """A crash anywhere in here gives the rows back."""
        async with connection.transaction():
            rows = await connection.fetch(claim, self._entities, *which)
            if rows:
                if not await self._apply(_coalesced(rows), max(row["position"] for row in rows)):
                    raise NotApplied
                xacts = {str(row["xact"]) for row in rows}
                await connection.execute(_TELL, self._entities, sorted(xacts))
        return len(rows)


def _coalesced(rows: Iterable[Record]) -> dict[str, set[str] | None]:
    changed: dict[str, set[str] | None] = {}
    for row in rows:
        before = changed.get(row["entity"], set())
        after = None if before is None or row["keys"] is None else before | set(row["keys"])
        changed[row["entity"]] = None if after is not None and len(after) > MOST_KEYS else after
    return changed
