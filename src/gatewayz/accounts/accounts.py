"""Accounts: who pays. Made, found by name or by who vouches for them, changed, suspended; and their trials."""

from collections.abc import Mapping
from typing import TypedDict, Unpack

from gatewayz.accounts import fields
from gatewayz.accounts.account_rows import AccountRows
from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.errors import NotFound
from gatewayz.accounts.fields import Columns
from gatewayz.accounts.limit_names import Amounts
from gatewayz.accounts.model import Account, Trial
from gatewayz.accounts.repository import IDENTITY, TRIAL, USERNAME
from gatewayz.cache.cache import Cache
from gatewayz.core.clock import Clock
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import AccountId
from gatewayz.core.money import NanoUsd
from gatewayz.core.page import Page
from gatewayz.storage.audit import BY_COMMAND, Act


class Identity(TypedDict):
    """Who vouches for an account, and as whom. The subject is kept as a keyed digest only."""

    issuer: str
    subject: str


class AccountTerms(TypedDict, total=False):
    """What may be said of an account, at its making and later; see Account."""

    username: str
    is_active: bool
    plan: str | None
    plan_ends_at: float | None
    next_plan: str | None
    limits: Amounts
    identity: Identity | None


_COLUMNS: Columns = {
    "username": ("username", fields.text),
    "is_active": ("is_active", fields.flag),
    "plan": ("plan_id", fields.optional(fields.slug)),
    "plan_ends_at": ("plan_ends_at", fields.optional(fields.later)),
    "next_plan": ("next_plan_id", fields.optional(fields.slug)),
    "limits": ("limits", fields.own_limits),
}


class Accounts:
    """As ApiKeys: a change has reached every worker when it returns, and is noted with who did it."""

    def __init__(self, rows: AccountRows, cache: Cache, digester: KeyDigester, clock: Clock) -> None:
        self._rows = rows
        self._cache = cache
        self._digester = digester
        self._clock = clock

    async def create(self, *, act: Act = BY_COMMAND, **terms: Unpack[AccountTerms]) -> Account:
        """Raises InvalidRequest that names the field, or Conflict where the name or the identity is taken."""
        return await self._rows.add(self._columns({"username": "", **terms}), act)

    async def get(self, account_id: AccountId) -> Account:
        """Raises NotFound."""
        return await self._rows.get(account_id)

    async def list_accounts(self, *, username: str | None = None, limit: int, offset: int = 0) -> Page[Account]:
        if username is not None:
            fields.text("username", username)
        return await self._rows.list_accounts(username=username, limit=limit, offset=offset)

    async def find_by_username(self, username: str) -> Account | None:
        return await self._cache.get(USERNAME, fields.text("username", username))

    async def find_by_identity(self, issuer: str, subject: str) -> Account | None:
        return await self._cache.get(IDENTITY, f"{issuer}:{self._digester.digest(subject)}")

    async def change(self, account_id: AccountId, *, act: Act = BY_COMMAND, **terms: Unpack[AccountTerms]) -> Account:
        """Raises InvalidRequest that names the field, NotFound, or Conflict."""
        return await self._rows.change(account_id, self._columns(terms), act)

    async def set_trial(
        self, account_id: AccountId, *, allowance: NanoUsd, ends_at: float, act: Act = BY_COMMAND
    ) -> Trial:
        """Begin a trial, or change the one that there is. Raises InvalidRequest, NotFound."""
        fields.positive_amount("allowance", allowance, 0)
        until = fields.later("ends_at", ends_at, self._clock.now())
        return await self._rows.set_trial(account_id, allowance, until, act)

    async def end_trial(self, account_id: AccountId, *, act: Act = BY_COMMAND) -> None:
        """Raises NotFound where there is none."""
        if not await self._rows.end_trial(account_id, act):
            raise NotFound(f"the account {account_id} has no trial")

    async def get_trial(self, account_id: AccountId) -> Trial | None:
        """As the database has it now, also one that is over."""
        return await self._rows.find_trial(account_id)

    async def running_trial(self, account_id: AccountId) -> Trial | None:
        """The trial, while it runs. Costs nothing while it is remembered."""
        trial = await self._cache.get(TRIAL, str(account_id))
        return trial if trial is not None and trial.is_running(self._clock.now()) else None

    def _columns(self, terms: Mapping[str, object]) -> dict[str, object]:
        said = dict(terms)
        identity = said.pop("identity", ...)
        columns = fields.columns_of(_COLUMNS, said, self._clock.now())
        if identity is None:
            columns |= {"identity_issuer": None, "identity_digest": None}
        elif isinstance(identity, Mapping):
            issuer = fields.text("identity.issuer", identity["issuer"])
            subject = fields.text("identity.subject", identity["subject"])
            columns |= {"identity_issuer": issuer, "identity_digest": self._digester.digest(subject)}
        elif identity is not ...:
            raise InvalidRequest("'identity' must hold 'issuer' and 'subject'", param="identity")
        return columns
