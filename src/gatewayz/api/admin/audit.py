"""The audit log, which nobody can change."""

from typing import Annotated

from fastapi import APIRouter, Query

from gatewayz.api.admin.forms import AuditForm, Listed, audit_form
from gatewayz.api.admin.paging import DEFAULT_LIMIT, Limit, Offset, listed
from gatewayz.api.admin.route import admin_router
from gatewayz.api.callers import Callers
from gatewayz.storage.audit import AuditLog

_NAME = "^[A-Za-z0-9_-]{1,100}$"


def audit_routes(callers: Callers, audit: AuditLog) -> APIRouter:
    router = admin_router(callers, "/admin/audit")

    @router.get("")
    async def list_audit(
        target: Annotated[str | None, Query(pattern=_NAME, description="Changes of what has this id.")] = None,
        actor: Annotated[str | None, Query(pattern=_NAME, description="Changes by this key's id, or cli.")] = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> Listed[AuditForm]:
        """Who changed what, the newest first."""
        page = await audit.list_rows(target=target, actor=actor, limit=limit, offset=offset)
        return listed(page, audit_form, limit, offset)

    return router
