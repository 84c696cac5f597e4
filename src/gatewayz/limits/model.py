"""What is asked of admission, and what it says, as values."""

from typing import TypeAlias

from msgspec import Struct

from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.limit import Limit
from gatewayz.core.money import NanoUsd


class Ask(Struct, frozen=True, kw_only=True, gc=False):
    """One request that wants to run: under all `limits`, with `tokens` reserved, and at most `hold` to pay, out of the
    purse of its account or, where `purse` names it, of its key.

    `request` is unique among all that run.
    """

    request: str
    account_id: AccountId
    key_id: ApiKeyId
    limits: tuple[Limit, ...] = ()
    tokens: int = 0
    hold: NanoUsd = NanoUsd(0)
    purse: ApiKeyId | None = None

    @property
    def is_counted(self) -> bool:
        """Whether anything stands against it."""
        return bool(self.limits) or self.hold > 0


class Standing(Struct, frozen=True, gc=False):
    """How one limit stands now: what still fits, and in how many seconds nothing is left of what was used."""

    limit: Limit
    remaining: int
    resets_in: float


class Admitted(Struct, frozen=True, kw_only=True, gc=False):
    """It may run, and must be settled. `at`: microseconds of the clock by which it is counted. `tranche`: out of which
    the hold came. `is_local`: this worker alone has counted it.
    """

    ask: Ask
    at: int
    tranche: TrancheId | None
    standings: tuple[Standing, ...]
    is_local: bool


class Refused(Struct, frozen=True, kw_only=True, gc=False):
    """It would be too much for `limit`; nothing was taken. `retry_after`: seconds until it would fit if nothing else
    came meanwhile; None where it never will.
    """

    limit: Limit
    retry_after: float | None
    standings: tuple[Standing, ...]
    is_local: bool


class Unfunded(Struct, frozen=True, kw_only=True, gc=False):
    """All limits hold, but the purse, of this tranche, lacks `short_by`; nothing was taken. None: there is no purse."""

    tranche: TrancheId | None
    short_by: NanoUsd
    is_local: bool


Outcome: TypeAlias = Admitted | Refused | Unfunded


class PurseName(Struct, frozen=True, gc=False):
    """Whose purse it is: an account's, or that of one of its keys."""

    account_id: AccountId
    key_id: ApiKeyId | None = None


class PurseState(Struct, frozen=True):
    """`left`: what the purse of the tranche can still give. `idle`: seconds since it was asked last."""

    left: NanoUsd
    idle: float
