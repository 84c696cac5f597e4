"""The keys that the caller's account has at providers itself. To see them is one scope, to change them another."""

from fastapi import APIRouter, Request

from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.accounts.scopes import ACCOUNT, PROVIDER_KEYS
from gatewayz.api.admin.forms import (
    ProviderKeyForm,
    ProviderKeysForm,
    ProviderKeyTermsForm,
    provider_key_form,
    provider_keys_form,
)
from gatewayz.api.admin.paging import ProviderName
from gatewayz.api.admin.route import MISSING, act_of, caller_of, keyed_router
from gatewayz.api.callers import Callers

PREFIX = "/v1/provider-keys"


def own_provider_key_routes(callers: Callers, keys: ProviderKeys) -> APIRouter:
    router = APIRouter()
    router.include_router(_seen(callers, keys))
    router.include_router(_changed(callers, keys))
    return router


def _seen(callers: Callers, keys: ProviderKeys) -> APIRouter:
    router = keyed_router(callers, ACCOUNT, tag="account", prefix=PREFIX)

    @router.get("")
    async def list_own_provider_keys(request: Request) -> ProviderKeysForm:
        """The account's own keys at providers: never the keys themselves."""
        return provider_keys_form(await keys.list_keys(caller_of(request).account_id))

    @router.get("/{provider}", responses=MISSING)
    async def get_own_provider_key(request: Request, provider: ProviderName) -> ProviderKeyForm:
        """The account's own key at one provider."""
        return provider_key_form(await keys.get(caller_of(request).account_id, provider))

    return router


def _changed(callers: Callers, keys: ProviderKeys) -> APIRouter:
    router = keyed_router(callers, PROVIDER_KEYS, tag="account", prefix=PREFIX)

    @router.put("/{provider}")
    async def set_own_provider_key(
        request: Request, provider: ProviderName, form: ProviderKeyTermsForm
    ) -> ProviderKeyForm:
        """Ask the provider with this key for the account, in place of a former one. Every worker does when this
        answers. Needs the scope `provider_keys`.
        """
        act = act_of(request, form.reason)
        secret = form.key.get_secret_value()
        return provider_key_form(await keys.set(caller_of(request).account_id, provider, secret, act=act))

    @router.delete("/{provider}", status_code=204, responses=MISSING)
    async def remove_own_provider_key(request: Request, provider: ProviderName) -> None:
        """Forget the key. No worker uses it any more when this answers. Needs the scope `provider_keys`."""
        await keys.remove(caller_of(request).account_id, provider, act=act_of(request))

    return router
