"""Credits given and taken by hand, and the ledger that shows it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatewayz.api.admin.forms import Listed
from gatewayz.api.admin.paging import DEFAULT_LIMIT, Limit, Offset, listed
from gatewayz.api.admin.route import MISSING_OR_CONFLICTING, admin_router, caller_of
from gatewayz.api.callers import Callers
from gatewayz.api.credit_forms import (
    AccountBalanceForm,
    AdjustmentForm,
    ChangeForm,
    GrantForm,
    PostingsForm,
    RefundForm,
    account_balance_form,
    change_form,
    posting_form,
)
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import AccountId
from gatewayz.credits.ledger import Ledger, Order
from gatewayz.credits.repository import CreditsRepository

AccountName = Annotated[str | None, Query(max_length=200, description="Only the account of this name.")]
Kind = Annotated[
    str | None, Query(pattern="^[a-z]{1,20}$", description="Only transactions of this kind, such as grant or capture.")
]
Before = Annotated[int | None, Query(ge=1, lt=2**63, description="Only transactions with a smaller id.")]


def credit_routes(callers: Callers, repository: CreditsRepository, ledger: Ledger) -> APIRouter:
    router = admin_router(callers, "/admin/credits")

    @router.get("")
    async def list_balances(
        account: AccountName = None, limit: Limit = DEFAULT_LIMIT, offset: Offset = 0
    ) -> Listed[AccountBalanceForm]:
        """What each account can spend and what is held for its requests, by name."""
        page = await repository.list_balances(_name(account), limit, offset)
        return listed(page, account_balance_form, limit, offset)

    @router.get("/ledger")
    async def list_postings(
        account: AccountName = None, kind: Kind = None, before: Before = None, limit: Limit = DEFAULT_LIMIT
    ) -> PostingsForm:
        """The ledger's transactions, the newest first, with what each did to which book."""
        found = await repository.list_postings(account=_name(account), kind=kind, before=before, limit=limit)
        has_more = len(found) == limit
        return PostingsForm(data=[posting_form(each) for each in found], next_before=found[-1].id if has_more else None)

    @router.post("/grant", responses=MISSING_OR_CONFLICTING)
    async def grant(request: Request, form: GrantForm) -> ChangeForm:
        """Add to what an account purchased."""
        return change_form(await ledger.grant(_account(form), form.amount, _order(request, form)))

    @router.post("/adjust", responses=MISSING_OR_CONFLICTING)
    async def adjust(request: Request, form: AdjustmentForm) -> ChangeForm:
        """Raise what an account purchased, or lower it by an amount below zero; never below nothing."""
        return change_form(await ledger.adjust(_account(form), form.amount, _order(request, form)))

    @router.post("/refund", responses=MISSING_OR_CONFLICTING)
    async def refund(request: Request, form: RefundForm) -> ChangeForm:
        """Give back what a request was charged, or a part of it; never more, all its refunds together."""
        return change_form(await ledger.refund(form.request_id, form.amount, _order(request, form)))

    return router


def _order(request: Request, form: GrantForm | AdjustmentForm | RefundForm) -> Order:
    return Order.of(by=caller_of(request).key_id, reason=form.reason, reference=form.reference)


def _account(form: GrantForm | AdjustmentForm) -> str | AccountId:
    return form.account if isinstance(form.account, str) else AccountId(form.account)


def _name(account: str | None) -> str | None:
    if account is not None and not account.isprintable():
        raise InvalidRequest("'account' must hold printable characters only", param="account")
    return account
