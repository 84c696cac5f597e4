"""Credits as they are written in JSON. Money is US dollars as a decimal text, as floats would round it."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec.structs import asdict
from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from gatewayz.api.admin.forms import Dollars, Form, dollars
from gatewayz.core.money import NanoUsd, nano_usd
from gatewayz.credits.ledger import Posted
from gatewayz.credits.model import Balance, Generation, Posting
from gatewayz.credits.repository import AccountBalance, Usage

_LONGEST_NAME = 200
_SIGNED = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def _signed_nano(text: object) -> NanoUsd:
    if not isinstance(text, str) or not _SIGNED.fullmatch(text):
        raise ValueError('must be US dollars as text, such as "2.50" or "-2.50"')
    return nano_usd(Decimal(text))


def _account(account: object) -> str | int:
    if isinstance(account, str) and account.isprintable() and len(account) <= _LONGEST_NAME:
        return account
    if isinstance(account, int) and not isinstance(account, bool) and 1 <= account < 2**63:
        return account
    raise ValueError("must be an account's id, or its name")


SignedDollars = Annotated[
    NanoUsd,
    BeforeValidator(_signed_nano),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIGNED.pattern}$", "description": 'Such as "-2.50".'}),
]
AccountRef = Annotated[
    str | int,
    PlainValidator(_account),
    WithJsonSchema({"type": ["string", "integer"], "description": "The account's name, or its id."}),
]
Why = Annotated[str, Field(description="Stands in the ledger and in the audit log.")]
Reference = Annotated[str, Field(description="A name of yours for this; sent again, it is not done again.")]


class GrantForm(Form):
    account: AccountRef
    amount: Dollars
    reason: Why
    reference: Reference


class AdjustmentForm(Form):
    account: AccountRef
    amount: SignedDollars
    reason: Why
    reference: Reference


class RefundForm(Form):
    """Without `amount`, all of what the request was charged and was not refunded yet."""

    request_id: Annotated[str, Field(max_length=200)]
    reason: Why
    reference: Reference
    amount: Dollars | None = None


class BalanceForm(Form):
    """`available`: purchased and allowance, what can be spent; `held` is for requests that run or may come."""

    available: str
    purchased: str
    allowance: str
    held: str


class AccountBalanceForm(Form):
    account: str
    balance: BalanceForm


class ChangeForm(Form):
    """`repeated`: it had been done before under this reference, and was not done again."""

    id: int
    account: str
    kind: str
    amount: str
    reference: str
    repeated: bool
    balance: BalanceForm


class UsageForm(Form):
    day: date | None
    key: str | None
    model: str | None
    provider: str | None
    requests: int
    cache_hits: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: str
    charged: str


class GenerationForm(Form):
    """`charged` is less than `cost` where the account could not pay it all. `is_own_key`: it was served by a key of the
    account's own, costs nothing here, and is on the provider's bill. `latency`: seconds.
    """

    id: str
    key_id: str
    model: str
    provider: str
    native_id: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost: str
    charged: str
    refunded: str
    cache_status: str
    is_stream: bool
    is_own_key: bool
    latency: float
    ended_at: datetime


class PostingForm(Form):
    """A transaction of the ledger. `entries`: US dollars by book; they sum to zero."""

    id: int
    at: datetime
    account: str
    kind: str
    reason: str | None
    made_by: str | None
    reference: str | None
    tranche: int | None
    request_id: str | None
    entries: dict[str, str]


class PostingsForm(Form):
    """`next_before`: ask for what is `before` it to see more; null at the end."""

    data: list[PostingForm]
    next_before: int | None


def balance_form(balance: Balance) -> BalanceForm:
    return BalanceForm(
        available=dollars(balance.available),
        purchased=dollars(balance.purchased),
        allowance=dollars(balance.allowance),
        held=dollars(balance.held),
    )


def account_balance_form(found: AccountBalance) -> AccountBalanceForm:
    return AccountBalanceForm(account=found.account, balance=balance_form(found.balance))


def change_form(posted: Posted) -> ChangeForm:
    return ChangeForm(
        id=posted.id,
        account=posted.account,
        kind=posted.kind,
        amount=dollars(posted.amount),
        reference=posted.reference,
        repeated=posted.is_repeated,
        balance=balance_form(posted.balance),
    )


def usage_form(usage: Usage) -> UsageForm:
    return UsageForm(**{**asdict(usage), "cost": dollars(usage.cost), "charged": dollars(usage.charged)})


def generation_form(found: Generation) -> GenerationForm:
    amounts = {name: dollars(getattr(found, name)) for name in ("cost", "charged", "refunded")}
    return GenerationForm(**{**asdict(found), **amounts, "ended_at": datetime.fromtimestamp(found.ended_at, UTC)})


def posting_form(posting: Posting) -> PostingForm:
    fields = asdict(posting)
    at = datetime.fromtimestamp(fields.pop("created_at"), UTC)
    entries = {book: dollars(amount) for book, amount in posting.entries.items()}
    return PostingForm(**{**fields, "at": at, "entries": entries})
