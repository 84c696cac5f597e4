"""Keys that accounts have at providers themselves: kept sealed, and opened for the one request that needs them."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from pydantic import SecretStr

from gatewayz.accounts.errors import no_provider_key
from gatewayz.accounts.model import Principal, ProviderKeyRecord, SealedKey
from gatewayz.accounts.provider_key_rows import ProviderKeyRows
from gatewayz.accounts.repository import PROVIDER_KEYS
from gatewayz.accounts.sealing import NotOpened, Sealed, Sealer
from gatewayz.cache.cache import Cache
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import AccountId, random_id
from gatewayz.core.nearest import hint
from gatewayz.storage.audit import BY_COMMAND, Act

log = structlog.get_logger("gatewayz.accounts")

_SECRET = re.compile(r"[\x21-\x7e]{8,4096}")
_SHOWN = 4
_LONG_ENOUGH = 16
"""Of a shorter one four characters would tell too much."""


class OwnKey(Struct, frozen=True):
    """An account's own key at a provider. `id` names it, and no other that comes in its place. `secret`: None where it
    cannot be opened any more.
    """

    id: str
    last_four: str
    secret: SecretStr | None


OwnKeys = Mapping[str, OwnKey]
"""By the provider's slug."""

NO_KEYS: Final[OwnKeys] = MappingProxyType({})


class ProviderKeys:
    """When a method that changes a key has returned, every worker that can be reached goes by the change. Each is noted
    in the audit log, without the key. `providers`: the slugs of those that can be asked with a key of one's own.
    """

    def __init__(self, rows: ProviderKeyRows, cache: Cache, sealer: Sealer, providers: Collection[str]) -> None:
        self._rows = rows
        self._cache = cache
        self._sealer = sealer
        self._providers = providers

    async def set(
        self, account_id: AccountId, provider: str, secret: str, *, act: Act = BY_COMMAND
    ) -> ProviderKeyRecord:
        """Use this key for the account from now on, in place of a former one. Raises InvalidRequest that names the
        field, NotFound for an account that is not there.
        """
        self._check_provider(provider)
        secret = secret.strip()
        if _SECRET.fullmatch(secret) is None:
            raise InvalidRequest(
                "'key' must be the provider's API key: 8 to 4096 printable ASCII characters without spaces", param="key"
            )
        sealed = self._sealer.seal(secret, owner=_owner(account_id, provider))
        key = SealedKey(
            id=random_id("pk"),
            provider=provider,
            last_four=secret[-_SHOWN:] if len(secret) >= _LONG_ENOUGH else "",
            sealed_by=sealed.by,
            sealed=sealed.box,
        )
        return await self._rows.set(account_id, key, act)

    async def get(self, account_id: AccountId, provider: str) -> ProviderKeyRecord:
        """Raises NotFound."""
        for record in await self.list_keys(account_id):
            if record.provider == provider:
                return record
        raise no_provider_key(provider)

    async def list_keys(self, account_id: AccountId) -> tuple[ProviderKeyRecord, ...]:
        """By provider. Raises NotFound for an account that is not there."""
        return await self._rows.list_keys(account_id)

    async def remove(self, account_id: AccountId, provider: str, *, act: Act = BY_COMMAND) -> None:
        """Raises NotFound."""
        if not await self._rows.remove(account_id, provider, act):
            raise no_provider_key(provider)

    async def reseal(self) -> tuple[int, int]:
        """Seal by the present secret what another has sealed: how many that were, and how many cannot be opened."""
        sealed, lost = 0, 0
        for account_id, key in await self._rows.sealed_otherwise(self._sealer.current):
            try:
                again = self._sealer.seal(self._opened(account_id, key), owner=_owner(account_id, key.provider))
            except NotOpened:
                lost += 1
                continue
            sealed += await self._rows.reseal(key, again.by, again.box)
        return sealed, lost

    async def of(self, caller: Principal) -> OwnKeys:
        """Costs nothing for who has none. Raises LoadFailed where nobody can tell."""
        if not caller.has_own_keys:
            return NO_KEYS
        found = await self._cache.get(PROVIDER_KEYS, str(caller.account_id))
        if found is None:
            return NO_KEYS
        return {key.provider: self._own(caller.account_id, key) for key in found.keys}

    def _own(self, account_id: AccountId, key: SealedKey) -> OwnKey:
        try:
            return OwnKey(key.id, key.last_four, SecretStr(self._opened(account_id, key)))
        except NotOpened as error:
            log.error("own_key_not_opened", key=key.id, provider=key.provider, reason=str(error))  # noqa: TRY400  no bug
            return OwnKey(key.id, key.last_four, None)

    def _opened(self, account_id: AccountId, key: SealedKey) -> str:
        return self._sealer.open(Sealed(key.sealed_by, key.sealed), owner=_owner(account_id, key.provider))

    def _check_provider(self, provider: str) -> None:
        if provider in self._providers:
            return
        nearest = hint(provider, self._providers, otherwise="GET /v1/providers lists them")
        raise InvalidRequest(
            f"{provider[:80]!r} is no provider that can be asked with a key of one's own; {nearest}", param="provider"
        )


def _owner(account_id: AccountId, provider: str) -> bytes:
    return msgspec.json.encode(["provider key", account_id, provider])
