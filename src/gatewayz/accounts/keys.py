"""API keys: made, listed, changed, rotated, revoked."""

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from gatewayz.accounts import fields
from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.fields import Columns
from gatewayz.accounts.key_rows import KeyRows
from gatewayz.accounts.limit_names import Amounts
from gatewayz.accounts.model import ApiKeyRecord, BudgetPeriod, Environment, NewApiKey
from gatewayz.accounts.scopes import DEFAULT_SCOPES
from gatewayz.accounts.secret import is_genuine, made_secret
from gatewayz.core.clock import Clock
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import AccountId, ApiKeyId, random_id
from gatewayz.core.money import NanoUsd
from gatewayz.core.page import Page
from gatewayz.storage.audit import BY_COMMAND, Act

LONGEST_OVERLAP = 30 * 86_400.0


class KeyTerms(TypedDict, total=False):
    """What may be said of a key, at its making and later; see ApiKeyRecord."""

    name: str
    scopes: Sequence[str]
    models: Sequence[str]
    networks: Sequence[str]
    limits: Amounts
    budget: NanoUsd | None
    budget_period: BudgetPeriod
    pays_unknown_prices: bool
    expires_at: float | None


_COLUMNS: Columns = {
    "name": ("name", fields.text),
    "scopes": ("scopes", fields.scopes),
    "models": ("models", fields.models),
    "networks": ("networks", fields.networks),
    "limits": ("limits", fields.limits),
    "budget": ("budget_nano", fields.optional(fields.positive_amount)),
    "budget_period": ("budget_period", fields.one_of("total", "day", "month")),
    "pays_unknown_prices": ("pays_unknown_prices", fields.flag),
    "expires_at": ("expires_at", fields.optional(fields.later)),
}


class ApiKeys:
    """When a method that changes a key has returned, every worker that can be reached goes by the change. Each is noted
    in the audit log with who did it (`act`) and why.
    """

    def __init__(self, rows: KeyRows, digester: KeyDigester, clock: Clock) -> None:
        self._rows = rows
        self._digester = digester
        self._clock = clock

    async def create(
        self,
        *,
        account: str | AccountId,
        credits: NanoUsd = NanoUsd(0),  # noqa: A002, B008  the field's word; a plain integer
        environment: Environment = "live",
        secret: str | None = None,
        act: Act = BY_COMMAND,
        **terms: Unpack[KeyTerms],
    ) -> NewApiKey:
        """A new key, whose secret is in the result and nowhere else. `secret` sets it instead of a random one.

        `account`: by name, made if it is new, or by id. Raises InvalidRequest that names the field, NotFound.
        """
        if isinstance(account, str):
            fields.text("account", account)
        if secret is not None and is_genuine(self._digester, secret) is False:
            raise InvalidRequest(
                "the given key has the form of one that another installation made, or had another secret; give a "
                "different one"
            )
        fields.one_of("live", "test")("environment", environment, 0)
        secret = secret or made_secret(self._digester, environment)
        columns = {
            **self._columns({"name": "", "scopes": DEFAULT_SCOPES, **terms}),
            "id": random_id("key"),
            "environment": environment,
            "digest": self._digester.digest(secret),
            "last_four": secret[-4:],
        }
        record = await self._rows.add(account, columns, credits_added=credits, act=act)
        return NewApiKey(record=record, secret=secret, credits=credits)

    async def ensure(self, secret: str, *, name: str, account: str, scopes: Sequence[str]) -> None:
        """Make the key unless it is known already. A revoked one stays revoked."""
        if not await self._rows.has_digest(self._digester.digest(secret)):
            await self.create(name=name, account=account, scopes=scopes, secret=secret)

    async def has_any(self) -> bool:
        return await self._rows.has_any()

    async def get(self, key_id: ApiKeyId) -> ApiKeyRecord:
        """Raises NotFound."""
        return await self._rows.get(key_id)

    async def list_keys(
        self, *, account_id: int | None = None, limit: int | None = None, offset: int = 0
    ) -> Page[ApiKeyRecord]:
        return await self._rows.list_keys(account_id=account_id, limit=limit, offset=offset)

    async def change(self, key_id: ApiKeyId, *, act: Act = BY_COMMAND, **terms: Unpack[KeyTerms]) -> ApiKeyRecord:
        """Raises InvalidRequest that names the field, NotFound, or Conflict where the key is revoked."""
        return await self._rows.change(key_id, self._columns(terms), act)

    async def rotate(self, key_id: ApiKeyId, *, overlap: float = 0, act: Act = BY_COMMAND) -> NewApiKey:
        """Give the key a new secret. The old one is good for `overlap` more seconds; one that was still good from an
        earlier rotation is not. Raises InvalidRequest, NotFound, or Conflict where the key is revoked.
        """
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise InvalidRequest(
                f"'overlap' must be from 0 to {LONGEST_OVERLAP:,.0f} seconds, not {overlap}", param="overlap"
            )
        environment = (await self._rows.get(key_id)).environment
        secret = made_secret(self._digester, environment)
        digest = self._digester.digest(secret)
        record = await self._rows.rotate(key_id, digest, secret[-4:], overlap=overlap, act=act)
        return NewApiKey(record=record, secret=secret)

    async def revoke(self, key_id: ApiKeyId, *, act: Act = BY_COMMAND) -> ApiKeyRecord:
        """Refused from now on, for good. Revoking twice changes nothing. Raises NotFound."""
        return await self._rows.revoke(key_id, act)

    def _columns(self, terms: Mapping[str, object]) -> dict[str, object]:
        return fields.columns_of(_COLUMNS, terms, self._clock.now())
