"""Accounts, keys, plans and trials as values, and who asks, as the gateway knows it after authentication.

Times are Unix seconds, None for never. Amounts of money are nano-dollars.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from gatewayz.accounts.limit_names import NamedLimits
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.limit import Limit
from gatewayz.core.money import NanoUsd

Environment: TypeAlias = Literal["live", "test"]
BudgetPeriod: TypeAlias = Literal["total", "day", "month"]


class Principal(Struct, frozen=True, kw_only=True):
    """What a valid API key stands for.

    `models`: public ids that it may ask for, also as `prefix/*`; `networks`: from where, as CIDR; empty for any.
    `limits`: all that hold, the key's own and the account's. `has_budget`: the ledger keeps a purse for the key alone.
    `pays_unknown_prices`: models of which nobody knows the price are not refused. `has_own_keys`: its account has keys
    of its own at providers. `plan`: by id. `afterwards`: what it stands for from `plan_ends_at` on.
    """

    key_id: ApiKeyId
    account_id: AccountId
    scopes: tuple[str, ...]
    expires_at: float | None = None
    environment: Environment = "live"
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    has_budget: bool = False
    pays_unknown_prices: bool = False
    has_own_keys: bool = False
    plan: str | None = None
    plan_ends_at: float | None = None
    afterwards: "Principal | None" = None

    def at(self, now: float) -> "Principal":
        """The principal as the plan that is in force then makes it."""
        if self.plan_ends_at is None or now < self.plan_ends_at or self.afterwards is None:
            return self
        return self.afterwards


class ApiKeyRecord(Struct, frozen=True, kw_only=True):
    """A key as people see it in lists: never the key itself, only its last four characters.

    `budget`: the most that it may spend in each `budget_period`. `former_expires_at`: until when the secret that it had
    before its rotation is good as well.
    """

    id: ApiKeyId
    account_id: AccountId
    account: str
    name: str
    last_four: str
    scopes: tuple[str, ...]
    environment: Environment
    models: tuple[str, ...]
    networks: tuple[str, ...]
    limits: NamedLimits
    budget: NanoUsd | None
    budget_period: BudgetPeriod
    pays_unknown_prices: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    former_expires_at: float | None


class NewApiKey(Struct, frozen=True, kw_only=True):
    """A key just made: the only time the secret itself is at hand. Kept out of repr."""

    record: ApiKeyRecord
    secret: str
    credits: NanoUsd = NanoUsd(0)

    def __repr__(self) -> str:
        return f"NewApiKey(id={self.record.id!r})"


class Account(Struct, frozen=True, kw_only=True):
    """Who pays. A suspended one (not `is_active`) has no valid key. `limits`: its own, which go before its plan's.

    `plan` holds until `plan_ends_at`, `next_plan` from then on. `identity_issuer`: who vouches for it, if anybody.
    """

    id: AccountId
    username: str
    is_active: bool
    plan: str | None
    plan_ends_at: float | None
    next_plan: str | None
    limits: NamedLimits
    identity_issuer: str | None
    created_at: float

    def plan_at(self, now: float) -> str | None:
        return self.plan if self.plan_ends_at is None or now < self.plan_ends_at else self.next_plan


class Plan(Struct, frozen=True, kw_only=True):
    """`allowance`: included each month. `limits`: of each account that has the plan."""

    id: str
    name: str
    allowance: NanoUsd
    limits: NamedLimits
    created_at: float


class Trial(Struct, frozen=True, kw_only=True):
    """An allowance that an account has once, until it ends."""

    account_id: AccountId
    allowance: NanoUsd
    started_at: float
    ends_at: float

    def is_running(self, now: float) -> bool:
        return self.started_at <= now < self.ends_at


class RateLimits(Struct, frozen=True):
    """What holds for a key, its own and its account's; `afterwards` from `plan_ends_at` on."""

    limits: tuple[Limit, ...]
    plan_ends_at: float | None = None
    afterwards: tuple[Limit, ...] = ()

    def at(self, now: float) -> tuple[Limit, ...]:
        return self.limits if self.plan_ends_at is None or now < self.plan_ends_at else self.afterwards


class ProviderKeyRecord(Struct, frozen=True, kw_only=True):
    """An account's own key at a provider as people see it: never the key itself. `last_four`: empty for a short one."""

    id: str
    account_id: AccountId
    provider: str
    last_four: str
    created_at: float


class SealedKey(Struct, frozen=True, kw_only=True):
    """The same as it is kept: `sealed` is opened by the secret that `sealed_by` names."""

    id: str
    provider: str
    last_four: str
    sealed_by: str
    sealed: bytes


class SealedKeys(Struct, frozen=True):
    """All of an account."""

    keys: tuple[SealedKey, ...]
