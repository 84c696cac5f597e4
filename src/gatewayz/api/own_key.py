"""GET /v1/key: what the key is that asks."""

from fastapi import APIRouter, Request

from gatewayz.accounts.accounts import Accounts
from gatewayz.accounts.keys import ApiKeys
from gatewayz.accounts.plans import Plans
from gatewayz.api.admin.forms import (
    Form,
    KeyForm,
    LimitForm,
    PlanForm,
    TrialForm,
    key_form,
    limit_forms,
    plan_form,
    trial_form,
)
from gatewayz.api.admin.route import caller_of, keyed_router
from gatewayz.api.callers import Callers


class OwnKeyForm(Form):
    """`limits`: all that hold for the key now, its own and its account's. `plan` and `trial`: those in force."""

    key: KeyForm
    limits: list[LimitForm]
    plan: PlanForm | None
    trial: TrialForm | None


def own_key_routes(callers: Callers, keys: ApiKeys, accounts: Accounts, plans: Plans) -> APIRouter:
    router = keyed_router(callers, None, tag="account")

    @router.get("/v1/key")
    async def own_key(request: Request) -> OwnKeyForm:
        """What the key that asks may do. Any valid key may ask."""
        caller = caller_of(request)
        plan = await plans.find(caller.plan) if caller.plan is not None else None
        trial = await accounts.running_trial(caller.account_id)
        return OwnKeyForm(
            key=key_form(await keys.get(caller.key_id)),
            limits=limit_forms(caller.limits),
            plan=plan_form(plan) if plan is not None else None,
            trial=trial_form(trial) if trial is not None else None,
        )

    return router
