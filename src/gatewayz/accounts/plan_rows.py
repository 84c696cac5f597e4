"""Plans in the database: written with a note of who did it."""

from collections.abc import Mapping

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gatewayz.accounts.errors import no_plan
from gatewayz.accounts.model import Plan
from gatewayz.accounts.repository import PLAN_COLUMNS, plan_of
from gatewayz.accounts.row_change import insert, update
from gatewayz.core.errors import Conflict
from gatewayz.core.page import Page
from gatewayz.storage.audit import Act, note
from gatewayz.storage.database import Database
from gatewayz.storage.outbox import Outbox


class PlanRows:
    """No worker's cache holds what a write has changed once that returns."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def add(self, columns: Mapping[str, object], act: Act) -> Plan:
        """Raises Conflict where the id is taken."""
        try:
            async with self._outbox.transaction() as connection:
                plan_id = await connection.fetchval(insert("plans", columns), *columns.values())
                plan = await _get(connection, plan_id)
                await note(connection, act, "plan.create", plan_id, after=plan)
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"there is a plan {columns['id']!r} already", param="id") from error
        return plan

    async def list_plans(self, *, limit: int, offset: int) -> Page[Plan]:
        async with self._database.connection() as connection:
            total = await connection.fetchval("SELECT count(*) FROM plans")
            rows = await connection.fetch(f"{PLAN_COLUMNS} ORDER BY id LIMIT $1 OFFSET $2", limit, offset)
        return Page(tuple(plan for row in rows if (plan := plan_of(row)) is not None), total)

    async def get(self, plan_id: str) -> Plan:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            return await _get(connection, plan_id)

    async def change(self, plan_id: str, columns: Mapping[str, object], act: Act) -> Plan:
        """Raises NotFound."""
        async with self._outbox.transaction() as connection:
            before = await _get(connection, plan_id, for_update=True)
            if columns:
                await connection.execute(update("plans", columns), plan_id, *columns.values())
            after = await _get(connection, plan_id)
            if after != before:
                await note(connection, act, "plan.change", plan_id, before=before, after=after)
        return after

    async def delete(self, plan_id: str, act: Act) -> None:
        """Raises NotFound, or Conflict where an account has the plan or will have it."""
        try:
            async with self._outbox.transaction() as connection:
                before = await _get(connection, plan_id, for_update=True)
                await connection.execute("DELETE FROM plans WHERE id = $1", plan_id)
                await note(connection, act, "plan.delete", plan_id, before=before)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict(f"accounts have the plan {plan_id!r}; give them another first") from error


async def _get(connection: PoolConnectionProxy, plan_id: str, *, for_update: bool = False) -> Plan:
    lock = "FOR UPDATE" if for_update else ""
    plan = plan_of(await connection.fetchrow(f"{PLAN_COLUMNS} WHERE id = $1 {lock}", plan_id))
    if plan is None:
        raise no_plan(plan_id)
    return plan
