"""Out of which pocket a charge is paid, and into which a tranche's rest goes back. Arithmetic only, no database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from gatewayz.core.ids import AccountId, TrancheId
from gatewayz.credits.model import Charge


@dataclass
class Pockets:
    """What an account has available while its charges are taken."""

    allowance: int
    purchased: int

    def take(self, amount: int) -> "Taken":
        """As much of `amount` as there is, of the allowance first."""
        allowance = min(amount, self.allowance)
        purchased = min(amount - allowance, self.purchased)
        self.allowance -= allowance
        self.purchased -= purchased
        return Taken(allowance, purchased)


class Taken(Struct, frozen=True):
    allowance: int = 0
    purchased: int = 0

    @property
    def total(self) -> int:
        return self.allowance + self.purchased


@dataclass
class AccountCapture:
    """What the charges of one account take from where. `written_off`: what nothing was left for, by request."""

    cost: int = 0
    held: int = 0
    allowance: int = 0
    purchased: int = 0
    written_off: dict[str, int] = field(default_factory=dict)


def capture(
    charges: Iterable[Charge], rests: Mapping[TrancheId, int], pockets: Mapping[AccountId, Pockets]
) -> tuple[dict[AccountId, AccountCapture], dict[TrancheId, int]]:
    """What each account's charges take, and what of it comes out of which tranche.

    A charge takes no more than its own hold from its tranche: the rest there belongs to the purse and to other
    requests. What it costs beyond that comes from what is available, and is written off where nothing is.
    """
    accounts: dict[AccountId, AccountCapture] = {}
    left = dict(rests)
    captured: dict[TrancheId, int] = {}
    for charge in charges:
        account = accounts.setdefault(charge.account_id, AccountCapture())
        held = 0
        if charge.tranche is not None and charge.tranche in left:
            held = min(charge.cost, charge.hold, left[charge.tranche])
            left[charge.tranche] -= held
            captured[charge.tranche] = captured.get(charge.tranche, 0) + held
        beyond = pockets[charge.account_id].take(charge.cost - held)
        account.cost += charge.cost
        account.held += held
        account.allowance += beyond.allowance
        account.purchased += beyond.purchased
        if missing := charge.cost - held - beyond.total:
            account.written_off[charge.request_id] = missing
    return accounts, captured


class Draw(Struct, frozen=True, kw_only=True):
    """One helping that filled a tranche: of an allowance, or of what was purchased where `allowance_id` is None."""

    number: int
    allowance_id: int | None
    amount: int
    released: int = 0


class Back(Struct, frozen=True):
    """What of a draw goes back to where it came from."""

    number: int
    allowance_id: int | None
    amount: int


def release(draws: Sequence[Draw], captured: int, amount: int) -> list[Back]:
    """How `amount` of a tranche's rest goes back: spent is from the first draw on, so given back is from the last.

    Raises ValueError for more than the rest.
    """
    spent, left = captured, []
    for draw in draws:
        kept = draw.amount - draw.released
        here = min(spent, kept)
        spent -= here
        left.append(kept - here)
    back = []
    for draw, rest in zip(reversed(draws), reversed(left), strict=True):
        given = min(amount, rest)
        if given:
            back.append(Back(draw.number, draw.allowance_id, given))
            amount -= given
    if amount:
        raise ValueError(f"{amount} nano-dollars more than the tranche still has cannot be released")
    return back
