"""Administration of API keys."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatewayz.accounts.keys import ApiKeys
from gatewayz.api.admin.forms import (
    KeyForm,
    KeyTermsForm,
    Listed,
    NewKeyForm,
    NewKeyShown,
    Reason,
    RotationForm,
    key_form,
    new_key_form,
)
from gatewayz.api.admin.paging import DEFAULT_LIMIT, KeyName, Limit, Offset, listed
from gatewayz.api.admin.route import MISSING, MISSING_OR_CONFLICTING, act_of, admin_router
from gatewayz.api.callers import Callers
from gatewayz.core.ids import AccountId, ApiKeyId


def key_routes(callers: Callers, keys: ApiKeys) -> APIRouter:
    router = admin_router(callers, "/admin/keys")

    @router.get("")
    async def list_keys(
        account_id: Annotated[int | None, Query(ge=1, lt=2**63, description="Only this account's keys.")] = None,
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> Listed[KeyForm]:
        """API keys, the oldest first: never the keys themselves."""
        page = await keys.list_keys(account_id=account_id, limit=limit, offset=offset)
        return listed(page, key_form, limit, offset)

    @router.post("", status_code=201, responses=MISSING)
    async def create_key(request: Request, form: NewKeyForm) -> NewKeyShown:
        """Make a key. It is shown in this answer and never again."""
        made = await keys.create(
            account=AccountId(form.account_id),
            environment=form.environment,
            act=act_of(request, form.reason),
            **form.terms(),
        )
        return new_key_form(made.record, made.secret)

    @router.get("/{key_id}", responses=MISSING)
    async def get_key(key_id: KeyName) -> KeyForm:
        """One key, also a revoked one."""
        return key_form(await keys.get(ApiKeyId(key_id)))

    @router.patch("/{key_id}", responses=MISSING_OR_CONFLICTING)
    async def change_key(request: Request, key_id: KeyName, form: KeyTermsForm) -> KeyForm:
        """Change what is named; every worker goes by it when this answers. A revoked key stays as it is."""
        return key_form(await keys.change(ApiKeyId(key_id), act=act_of(request, form.reason), **form.terms()))

    @router.post("/{key_id}/rotate", responses=MISSING_OR_CONFLICTING)
    async def rotate_key(request: Request, key_id: KeyName, form: RotationForm) -> NewKeyShown:
        """Give the key a new secret, shown in this answer and never again."""
        act = act_of(request, form.reason)
        made = await keys.rotate(ApiKeyId(key_id), overlap=form.overlap, act=act)
        return new_key_form(made.record, made.secret)

    @router.delete("/{key_id}", responses=MISSING)
    async def revoke_key(request: Request, key_id: KeyName, reason: Annotated[Reason, Query()] = None) -> KeyForm:
        """Revoke the key, for good. When this answers, every worker that can be reached refuses it."""
        return key_form(await keys.revoke(ApiKeyId(key_id), act=act_of(request, reason)))

    return router
