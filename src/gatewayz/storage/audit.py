"""Who changed what: noted in the transaction of the change itself. The table refuses anything but additions."""

from typing import Any

import msgspec
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.core.page import Page
from gatewayz.storage.database import Database


class Act(Struct, frozen=True):
    """Who does something, and why. `actor`: the id of an admin's key, or `cli` for whoever runs a command."""

    actor: str
    reason: str | None = None


BY_COMMAND = Act("cli")


class AuditRow(Struct, frozen=True, kw_only=True):
    """`before` and `after` hold what differs, as JSON objects, without secrets. `at`: Unix seconds."""

    id: int
    at: float
    actor: str
    action: str
    target: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str | None


async def note(
    connection: PoolConnectionProxy,
    act: Act,
    action: str,
    target: object,
    *,
    before: Struct | None = None,
    after: Struct | None = None,
) -> None:
    """Note a change of `target` from one record to the other; None where there was, or is, none. Of two records only
    the fields that differ are kept. Records must hold no secret.
    """
    was, now = (msgspec.to_builtins(each) if each is not None else {} for each in (before, after))
    if before is not None and after is not None:
        changed = [name for name, value in now.items() if was.get(name) != value]
        was, now = ({name: each[name] for name in changed} for each in (was, now))
    await connection.execute(
        'INSERT INTO audit_log (actor, action, target, "before", "after", reason) VALUES ($1, $2, $3, $4, $5, $6)',
        act.actor,
        action,
        str(target),
        msgspec.json.encode(was).decode(),
        msgspec.json.encode(now).decode(),
        act.reason,
    )


_LISTED = """
SELECT id, extract(epoch FROM at)::float8 AS at, actor, action, target, "before", "after", reason FROM audit_log
WHERE ($1::text IS NULL OR target = $1) AND ($2::text IS NULL OR actor = $2) ORDER BY id DESC LIMIT $3 OFFSET $4
"""
_COUNTED = """
SELECT count(*) FROM audit_log WHERE ($1::text IS NULL OR target = $1) AND ($2::text IS NULL OR actor = $2)
"""


class AuditLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, act: Act, action: str, target: object, after: Struct) -> None:
        """Note what was done to something that has no row of its own, and so no transaction to be noted in."""
        async with self._database.connection() as connection:
            await note(connection, act, action, target, after=after)

    async def list_rows(
        self, *, target: str | None = None, actor: str | None = None, limit: int, offset: int
    ) -> Page[AuditRow]:
        """The newest first."""
        async with self._database.connection() as connection:
            total = await connection.fetchval(_COUNTED, target, actor)
            rows = await connection.fetch(_LISTED, target, actor, limit, offset)
        decoded = (
            {**dict(row), "before": msgspec.json.decode(row["before"]), "after": msgspec.json.decode(row["after"])}
            for row in rows
        )
        return Page(tuple(AuditRow(**row) for row in decoded), total)
