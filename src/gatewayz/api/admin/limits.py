"""Administration of limits: what was set for an account or a key, and what holds."""

from fastapi import APIRouter, Request

from gatewayz.accounts.accounts import Accounts
from gatewayz.accounts.effective_limits import EffectiveLimits
from gatewayz.accounts.keys import ApiKeys
from gatewayz.accounts.model import Account, ApiKeyRecord
from gatewayz.api.admin.forms import LimitsForm, LimitTermsForm, limits_form
from gatewayz.api.admin.paging import AccountNumber, KeyName
from gatewayz.api.admin.route import MISSING, MISSING_OR_CONFLICTING, act_of, admin_router
from gatewayz.api.callers import Callers
from gatewayz.core.ids import AccountId, ApiKeyId


def limit_routes(callers: Callers, accounts: Accounts, keys: ApiKeys, effective: EffectiveLimits) -> APIRouter:
    router = admin_router(callers, "/admin/limits")

    async def of_account(account: Account) -> LimitsForm:
        return limits_form(account.limits, await effective.of_account(account))

    async def of_key(key: ApiKeyRecord) -> LimitsForm:
        return limits_form(key.limits, await effective.of_key(key.id))

    @router.get("/accounts/{account_id}", responses=MISSING)
    async def get_account_limits(account_id: AccountNumber) -> LimitsForm:
        """The account's own limits, and all that hold for it: its plan's, unless its own say otherwise."""
        return await of_account(await accounts.get(AccountId(account_id)))

    @router.put("/accounts/{account_id}", responses=MISSING)
    async def set_account_limits(request: Request, account_id: AccountNumber, form: LimitTermsForm) -> LimitsForm:
        """Set the account's own limits, all of them. null lifts the plan's of that name."""
        act = act_of(request, form.reason)
        return await of_account(await accounts.change(AccountId(account_id), act=act, limits=form.limits))

    @router.get("/keys/{key_id}", responses=MISSING)
    async def get_key_limits(key_id: KeyName) -> LimitsForm:
        """The key's own limits, and all that hold for it: its own and its account's."""
        return await of_key(await keys.get(ApiKeyId(key_id)))

    @router.put("/keys/{key_id}", responses=MISSING_OR_CONFLICTING)
    async def set_key_limits(request: Request, key_id: KeyName, form: LimitTermsForm) -> LimitsForm:
        """Set the key's own limits, all of them."""
        act = act_of(request, form.reason)
        return await of_key(await keys.change(ApiKeyId(key_id), act=act, limits=form.limits))

    return router
