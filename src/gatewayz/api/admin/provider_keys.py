"""Administration of the keys that accounts have at providers themselves."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.api.admin.forms import (
    ProviderKeyForm,
    ProviderKeysForm,
    ProviderKeyTermsForm,
    Reason,
    provider_key_form,
    provider_keys_form,
)
from gatewayz.api.admin.paging import AccountNumber, ProviderName
from gatewayz.api.admin.route import MISSING, act_of, admin_router
from gatewayz.api.callers import Callers
from gatewayz.core.ids import AccountId


def provider_key_routes(callers: Callers, keys: ProviderKeys) -> APIRouter:
    router = admin_router(callers, "/admin/accounts/{account_id}/provider-keys")

    @router.get("", responses=MISSING)
    async def list_provider_keys(account_id: AccountNumber) -> ProviderKeysForm:
        """The account's own keys at providers: never the keys themselves."""
        return provider_keys_form(await keys.list_keys(AccountId(account_id)))

    @router.get("/{provider}", responses=MISSING)
    async def get_provider_key(account_id: AccountNumber, provider: ProviderName) -> ProviderKeyForm:
        """The account's own key at one provider."""
        return provider_key_form(await keys.get(AccountId(account_id), provider))

    @router.put("/{provider}", responses=MISSING)
    async def set_provider_key(
        request: Request, account_id: AccountNumber, provider: ProviderName, form: ProviderKeyTermsForm
    ) -> ProviderKeyForm:
        """Ask the provider with this key for the account, in place of a former one. Every worker does when this
        answers.
        """
        act = act_of(request, form.reason)
        secret = form.key.get_secret_value()
        return provider_key_form(await keys.set(AccountId(account_id), provider, secret, act=act))

    @router.delete("/{provider}", status_code=204, responses=MISSING)
    async def remove_provider_key(
        request: Request, account_id: AccountNumber, provider: ProviderName, reason: Annotated[Reason, Query()] = None
    ) -> None:
        """Forget the key. No worker uses it any more when this answers."""
        await keys.remove(AccountId(account_id), provider, act=act_of(request, reason))

    return router
