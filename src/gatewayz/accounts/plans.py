"""Plans: what is included each month, and the limits of who has one."""

from typing import TypedDict, Unpack

from gatewayz.accounts import fields
from gatewayz.accounts.fields import Columns
from gatewayz.accounts.limit_names import Amounts
from gatewayz.accounts.model import Plan
from gatewayz.accounts.plan_rows import PlanRows
from gatewayz.accounts.repository import PLAN
from gatewayz.cache.cache import Cache
from gatewayz.core.money import NanoUsd
from gatewayz.core.page import Page
from gatewayz.storage.audit import BY_COMMAND, Act


class PlanTerms(TypedDict, total=False):
    """What may be said of a plan, at its making and later; see Plan."""

    name: str
    allowance: NanoUsd
    limits: Amounts


_COLUMNS: Columns = {
    "id": ("id", fields.slug),
    "name": ("name", fields.text),
    "allowance": ("allowance_nano", fields.amount),
    "limits": ("limits", fields.limits),
}


class Plans:
    """As ApiKeys: a change has reached every worker when it returns, and is noted with who did it."""

    def __init__(self, rows: PlanRows, cache: Cache) -> None:
        self._rows = rows
        self._cache = cache

    async def create(self, plan_id: str, *, act: Act = BY_COMMAND, **terms: Unpack[PlanTerms]) -> Plan:
        """Raises InvalidRequest that names the field, or Conflict where the id is taken."""
        return await self._rows.add(fields.columns_of(_COLUMNS, {"name": plan_id, **terms, "id": plan_id}, 0), act)

    async def get(self, plan_id: str) -> Plan:
        """Raises NotFound."""
        return await self._rows.get(plan_id)

    async def find(self, plan_id: str) -> Plan | None:
        """Costs nothing while the plan is remembered."""
        return await self._cache.get(PLAN, plan_id)

    async def list_plans(self, *, limit: int, offset: int = 0) -> Page[Plan]:
        return await self._rows.list_plans(limit=limit, offset=offset)

    async def change(self, plan_id: str, *, act: Act = BY_COMMAND, **terms: Unpack[PlanTerms]) -> Plan:
        """Raises InvalidRequest that names the field, or NotFound."""
        return await self._rows.change(plan_id, fields.columns_of(_COLUMNS, terms, 0), act)

    async def delete(self, plan_id: str, *, act: Act = BY_COMMAND) -> None:
        """Raises NotFound, or Conflict where an account has the plan."""
        await self._rows.delete(plan_id, act)
