"""The values of credits. Amounts are nano-dollars, times are Unix seconds. What the words mean: docs/adr/0008."""

from msgspec import Struct

from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.money import NanoUsd

SHARED = "shared"
"""The place of a purse that all workers share."""


class Owner(Struct, frozen=True):
    """Whose tranche it is: an account's, or that of one key of it, which then has a budget; and where its purse is
    kept: `SHARED`, or the name of a worker that keeps it in its memory.
    """

    account_id: AccountId
    key_id: ApiKeyId | None = None
    place: str = SHARED


class Balance(Struct, frozen=True, kw_only=True):
    purchased: NanoUsd
    allowance: NanoUsd
    held: NanoUsd

    @property
    def available(self) -> NanoUsd:
        """What can still be held for requests."""
        return NanoUsd(self.purchased + self.allowance)


class Funded(Struct, frozen=True, kw_only=True):
    """An amount that is now held, in a tranche that was opened for it or had been there."""

    tranche: TrancheId
    amount: NanoUsd
    is_new: bool


class Purse(Struct, frozen=True):
    """What is left of a tranche to be given to requests, and the seconds since one was given anything."""

    left: NanoUsd
    idle: float


class Charge(Struct, frozen=True, kw_only=True, gc=False):
    """What one request did cost; `hold` and `tranche` as it was admitted by.

    `request_id` is made by the gateway, and never taken from a client: the same id is charged once. A request that cost
    nothing is written down all the same, for usage. `is_own_key`: the account's own key at the provider was used, who
    sends it the bill.
    """

    request_id: str
    account_id: AccountId
    key_id: ApiKeyId
    model: str
    provider: str
    ended_at: float
    native_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: NanoUsd = NanoUsd(0)
    hold: NanoUsd = NanoUsd(0)
    tranche: TrancheId | None = None
    cache_status: str = ""
    is_stream: bool = False
    is_own_key: bool = False
    latency: float = 0.0


class Generation(Struct, frozen=True, kw_only=True):
    """A request as its account may see it once it is settled. Of the tokens of its prompt, `cached_tokens` were in the
    provider's cache and `cache_write_tokens` went into it; of its completion's, `reasoning_tokens` are not to be seen.
    `is_own_key`: it was served by a key of the account's own, and the provider's bill goes there.
    """

    id: str
    key_id: ApiKeyId
    model: str
    provider: str
    native_id: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost: NanoUsd
    charged: NanoUsd
    refunded: NanoUsd
    cache_status: str
    is_stream: bool
    is_own_key: bool
    latency: float
    ended_at: float


class Posting(Struct, frozen=True, kw_only=True):
    """One transaction of the ledger, with what it did to each book."""

    id: int
    account: str
    kind: str
    reason: str | None
    made_by: str | None
    reference: str | None
    tranche: TrancheId | None
    request_id: str | None
    created_at: float
    entries: dict[str, NanoUsd]


class Drift(Struct, frozen=True, kw_only=True):
    """Two amounts that must be the same and are not. `account_id` is None for sums over all."""

    what: str
    account_id: AccountId | None
    expected: NanoUsd
    found: NanoUsd
