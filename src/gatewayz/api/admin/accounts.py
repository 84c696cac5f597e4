"""Administration of accounts and their trials."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatewayz.accounts.accounts import Accounts
from gatewayz.accounts.errors import NotFound
from gatewayz.api.admin.forms import (
    AccountForm,
    AccountTermsForm,
    Listed,
    NewAccountForm,
    Reason,
    TrialForm,
    TrialTermsForm,
    account_form,
    trial_form,
)
from gatewayz.api.admin.paging import DEFAULT_LIMIT, AccountNumber, Limit, Offset, listed
from gatewayz.api.admin.route import CONFLICTING, MISSING, MISSING_OR_CONFLICTING, act_of, admin_router
from gatewayz.api.callers import Callers
from gatewayz.core.ids import AccountId


def account_routes(callers: Callers, accounts: Accounts) -> APIRouter:
    router = admin_router(callers, "/admin/accounts")

    @router.get("")
    async def list_accounts(
        username: Annotated[str | None, Query(max_length=200, description="Only the account of this name.")] = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> Listed[AccountForm]:
        """Accounts, the oldest first."""
        page = await accounts.list_accounts(username=username, limit=limit, offset=offset)
        return listed(page, account_form, limit, offset)

    @router.post("", status_code=201, responses=CONFLICTING)
    async def create_account(request: Request, form: NewAccountForm) -> AccountForm:
        """Make an account."""
        return account_form(await accounts.create(act=act_of(request, form.reason), **form.terms()))

    @router.get("/{account_id}", responses=MISSING)
    async def get_account(account_id: AccountNumber) -> AccountForm:
        """One account."""
        return account_form(await accounts.get(AccountId(account_id)))

    @router.patch("/{account_id}", responses=MISSING_OR_CONFLICTING)
    async def change_account(request: Request, account_id: AccountNumber, form: AccountTermsForm) -> AccountForm:
        """Change what is named. Every worker goes by it when this answers: a suspended account has no valid key."""
        act = act_of(request, form.reason)
        return account_form(await accounts.change(AccountId(account_id), act=act, **form.terms()))

    _trial_routes(router, accounts)
    return router


def _trial_routes(router: APIRouter, accounts: Accounts) -> None:
    @router.get("/{account_id}/trial", responses=MISSING)
    async def get_trial(account_id: AccountNumber) -> TrialForm:
        """The account's trial, also one that is over."""
        trial = await accounts.get_trial(AccountId(account_id))
        if trial is None:
            raise NotFound(f"the account {account_id} has no trial")
        return trial_form(trial)

    @router.put("/{account_id}/trial", responses=MISSING)
    async def set_trial(request: Request, account_id: AccountNumber, form: TrialTermsForm) -> TrialForm:
        """Begin a trial, or change the allowance and end of the one that there is."""
        trial = await accounts.set_trial(
            AccountId(account_id),
            allowance=form.allowance,
            ends_at=form.ends_at,
            act=act_of(request, form.reason),
        )
        return trial_form(trial)

    @router.delete("/{account_id}/trial", status_code=204, responses=MISSING)
    async def end_trial(request: Request, account_id: AccountNumber, reason: Annotated[Reason, Query()] = None) -> None:
        """End the trial now."""
        await accounts.end_trial(AccountId(account_id), act=act_of(request, reason))
