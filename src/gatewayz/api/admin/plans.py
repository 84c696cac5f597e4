"""Administration of plans."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatewayz.accounts.plans import Plans
from gatewayz.api.admin.forms import Listed, NewPlanForm, PlanForm, PlanTermsForm, Reason, plan_form
from gatewayz.api.admin.paging import DEFAULT_LIMIT, Limit, Offset, PlanName, listed
from gatewayz.api.admin.route import CONFLICTING, MISSING, MISSING_OR_CONFLICTING, act_of, admin_router
from gatewayz.api.callers import Callers


def plan_routes(callers: Callers, plans: Plans) -> APIRouter:
    router = admin_router(callers, "/admin/plans")

    @router.get("")
    async def list_plans(limit: Limit = DEFAULT_LIMIT, offset: Offset = 0) -> Listed[PlanForm]:
        """Plans, by id."""
        return listed(await plans.list_plans(limit=limit, offset=offset), plan_form, limit, offset)

    @router.post("", status_code=201, responses=CONFLICTING)
    async def create_plan(request: Request, form: NewPlanForm) -> PlanForm:
        """Make a plan."""
        return plan_form(await plans.create(form.id, act=act_of(request, form.reason), **form.terms()))

    @router.get("/{plan_id}", responses=MISSING)
    async def get_plan(plan_id: PlanName) -> PlanForm:
        """One plan."""
        return plan_form(await plans.get(plan_id))

    @router.patch("/{plan_id}", responses=MISSING)
    async def change_plan(request: Request, plan_id: PlanName, form: PlanTermsForm) -> PlanForm:
        """Change what is named, for every account that has the plan, in every worker."""
        return plan_form(await plans.change(plan_id, act=act_of(request, form.reason), **form.terms()))

    @router.delete("/{plan_id}", status_code=204, responses=MISSING_OR_CONFLICTING)
    async def delete_plan(request: Request, plan_id: PlanName, reason: Annotated[Reason, Query()] = None) -> None:
        """Delete a plan that no account has."""
        await plans.delete(plan_id, act=act_of(request, reason))

    return router
