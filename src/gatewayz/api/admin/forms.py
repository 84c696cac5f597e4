"""Accounts, keys and plans as they are written in JSON, for the admin API and for commands.

Times are Unix seconds. Money is US dollars as a decimal text, such as "2.50". In a change, what is left out stays as it
is. Each form checks types and names; what a value may be is checked by accounts/fields.py.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec.structs import asdict
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

from gatewayz.accounts.limit_names import LIMIT_NAMES, NamedLimits
from gatewayz.accounts.model import Account, ApiKeyRecord, Plan, ProviderKeyRecord, Trial
from gatewayz.accounts.scopes import SCOPES
from gatewayz.core.limit import Limit
from gatewayz.core.money import NanoUsd, nano_usd, plain, usd
from gatewayz.storage.audit import AuditRow

T = TypeVar("T")


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def said(form: Form, *without: str) -> dict[str, Any]:
    """The fields that were given, as services take them."""
    given = {name: getattr(form, name) for name in form.model_fields_set.difference(without)}
    return {name: said(value) if isinstance(value, Form) else value for name, value in given.items()}


_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def _nano(text: object) -> NanoUsd:
    if not isinstance(text, str) or not _MONEY.fullmatch(text):
        raise ValueError('must be US dollars as text, such as "2.50"')
    return nano_usd(Decimal(text))


def dollars(nano: NanoUsd) -> str:
    return plain(usd(nano))


def _printable(text: str | None) -> str | None:
    if text is not None and not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


Dollars = Annotated[
    NanoUsd,
    BeforeValidator(_nano),
    WithJsonSchema({"type": "string", "pattern": f"^{_MONEY.pattern}$", "description": 'US dollars, such as "2.50".'}),
]
_LIMITS = {
    "properties": {name: {"type": ["integer", "null"], "minimum": 1} for name in LIMIT_NAMES},
    "additionalProperties": False,
}
Limits = Annotated[dict[str, int | None], Field(json_schema_extra=_LIMITS, description=", ".join(LIMIT_NAMES))]
Scopes = Annotated[list[str], Field(min_length=1, description=f"Of {', '.join(SCOPES)}.")]
Moment = Annotated[float, Field(description="Unix seconds.")]
Reason = Annotated[str | None, Field(max_length=500, description="Why, for the audit log."), AfterValidator(_printable)]
Models = Annotated[list[str], Field(description='Public model ids, or "author/*"; empty for any.')]
Networks = Annotated[list[str], Field(description='From where, such as "192.0.2.0/24"; empty for anywhere.')]


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Terms(Form):
    """What is to be, or to change: no field has a default, what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    reason: Reason = None


class Listed(Form, Generic[T]):
    """A part of a list. `total`: how many there are in all."""

    object: Literal["list"] = "list"
    data: list[T]
    total: int
    limit: int
    offset: int


class KeyTermsForm(Terms):
    """`budget`: the most that the key may spend in each `budget_period`. What is left out stays as it is."""

    name: Annotated[str, Field(max_length=200)] = ""
    scopes: Scopes = Field(default_factory=list)
    models: Models = Field(default_factory=list)
    networks: Networks = Field(default_factory=list)
    limits: Limits = Field(default_factory=dict)
    budget: Dollars | None = None
    budget_period: Literal["total", "day", "month"] = "total"
    pays_unknown_prices: bool = False
    expires_at: Moment | None = None

    def terms(self) -> dict[str, Any]:
        """What was said, as the service takes it."""
        return said(self, "reason", "account_id", "environment")


class NewKeyForm(KeyTermsForm):
    """`account_id`: who pays. `budget`: the most that the key may spend in each `budget_period`."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    account_id: Annotated[int, Field(ge=1, lt=2**63)]
    environment: Literal["live", "test"] = "live"


class RotationForm(Terms):
    """`overlap`: seconds for which the former secret is good as well."""

    overlap: Annotated[float, Field(ge=0)] = 0


class KeyForm(Form):
    """`budget`: the most that the key may spend in each `budget_period`. `former_expires_at`: until when the secret
    before the last rotation is good.
    """

    id: str
    name: str
    account_id: int
    account: str
    last_four: str
    environment: str
    scopes: list[str]
    models: list[str]
    networks: list[str]
    limits: dict[str, int | None]
    budget: str | None
    budget_period: str
    pays_unknown_prices: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    former_expires_at: float | None


class NewKeyShown(KeyForm):
    """`key`: the secret, shown this once."""

    key: str = Field(repr=False)


class IdentityForm(Form):
    """Who vouches for the account, and as whom. The subject is kept as a digest only."""

    issuer: Annotated[str, Field(min_length=1, max_length=200)]
    subject: Annotated[str, Field(min_length=1, max_length=200, repr=False)]


class AccountTermsForm(Terms):
    """`plan` holds until `plan_ends_at`, `next_plan` from then on. `limits`: null lifts the plan's of that name."""

    username: Annotated[str, Field(max_length=200)] = ""
    is_active: bool = True
    plan: str | None = None
    plan_ends_at: Moment | None = None
    next_plan: str | None = None
    limits: Limits = Field(default_factory=dict)
    identity: IdentityForm | None = None

    def terms(self) -> dict[str, Any]:
        return said(self, "reason")


class NewAccountForm(AccountTermsForm):
    """`plan` holds until `plan_ends_at`, `next_plan` from then on. `limits`: null lifts the plan's of that name."""

    username: Annotated[str, Field(min_length=1, max_length=200)]


class AccountForm(Form):
    """`is_active`: false where the account is suspended, and none of its keys is valid."""

    id: int
    username: str
    is_active: bool
    plan: str | None
    plan_ends_at: float | None
    next_plan: str | None
    limits: dict[str, int | None]
    identity_issuer: str | None
    created_at: float


class TrialTermsForm(Terms):
    allowance: Dollars
    ends_at: Moment


class TrialForm(Form):
    account_id: int
    allowance: str
    started_at: float
    ends_at: float


class ProviderKeyTermsForm(Terms):
    """`key`: the account's own API key at the provider. It is kept sealed, and never shown again."""

    key: Annotated[SecretStr, Field(min_length=8, max_length=4096, strict=False)]


class ProviderKeyForm(Form):
    """`last_four`: of the key; empty for a short one."""

    id: str
    account_id: int
    provider: str
    last_four: str
    created_at: float


class ProviderKeysForm(Form):
    object: Literal["list"] = "list"
    data: list[ProviderKeyForm]


class PlanTermsForm(Terms):
    """`allowance`: US dollars included each month. `limits`: of each account that has the plan."""

    name: Annotated[str, Field(max_length=200)] = ""
    allowance: Dollars = NanoUsd(0)
    limits: Limits = Field(default_factory=dict)

    def terms(self) -> dict[str, Any]:
        return said(self, "reason", "id")


class NewPlanForm(PlanTermsForm):
    """`allowance`: US dollars included each month. `limits`: of each account that has the plan."""

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]


class PlanForm(Form):
    id: str
    name: str
    allowance: str
    limits: dict[str, int | None]
    created_at: float


class LimitTermsForm(Terms):
    """All limits of its own that the account or key is to have. Of an account, null lifts the plan's of that name."""

    limits: Limits


class LimitForm(Form):
    """`subject`: who is counted together. `measure` over `window` seconds, 0 for requests at one time."""

    subject: str
    measure: str
    window: int
    amount: int


class LimitsForm(Form):
    """`own`: what was set here. `effective`: all that hold now."""

    own: dict[str, int | None]
    effective: list[LimitForm]


class AuditForm(Form):
    """`before` and `after` hold what differs."""

    id: int
    at: float
    actor: str
    action: str
    target: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str | None


def key_form(record: ApiKeyRecord) -> KeyForm:
    return KeyForm(**_key_fields(record))


def new_key_form(record: ApiKeyRecord, secret: str) -> NewKeyShown:
    return NewKeyShown(**_key_fields(record), key=secret)


def _key_fields(record: ApiKeyRecord) -> dict[str, Any]:
    fields = asdict(record)
    fields |= {name: list(fields[name]) for name in ("scopes", "models", "networks")}
    return {
        **fields,
        "limits": dict(record.limits),
        "budget": None if record.budget is None else dollars(record.budget),
    }


def account_form(account: Account) -> AccountForm:
    return AccountForm(**{**asdict(account), "limits": dict(account.limits)})


def trial_form(trial: Trial) -> TrialForm:
    return TrialForm(
        account_id=trial.account_id,
        allowance=dollars(trial.allowance),
        started_at=trial.started_at,
        ends_at=trial.ends_at,
    )


def provider_key_form(record: ProviderKeyRecord) -> ProviderKeyForm:
    return ProviderKeyForm(**asdict(record))


def provider_keys_form(records: Iterable[ProviderKeyRecord]) -> ProviderKeysForm:
    return ProviderKeysForm(data=[provider_key_form(each) for each in records])


def plan_form(plan: Plan) -> PlanForm:
    return PlanForm(
        id=plan.id,
        name=plan.name,
        allowance=dollars(plan.allowance),
        limits=dict(plan.limits),
        created_at=plan.created_at,
    )


def limits_form(own: NamedLimits, effective: tuple[Limit, ...]) -> LimitsForm:
    return LimitsForm(own=dict(own), effective=limit_forms(effective))


def limit_forms(limits: tuple[Limit, ...]) -> list[LimitForm]:
    return [
        LimitForm(subject=str(each.subject), measure=str(each.measure), window=each.window, amount=each.amount)
        for each in limits
    ]


def audit_form(row: AuditRow) -> AuditForm:
    return AuditForm(**asdict(row))
