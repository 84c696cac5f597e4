"""Purses in a dictionary: as a worker keeps them without Redis."""

from dataclasses import dataclass, field

from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Owner, Purse


@dataclass
class DictPurses:
    """`is_away`: nobody answers. `idle`: what look says of every purse."""

    left: dict[Owner, tuple[TrancheId, int]] = field(default_factory=dict)
    deposits: int = 0
    idle: float = 0.0
    is_away: bool = False

    def take(self, owner: Owner, amount: int) -> TrancheId | None:
        """A hold, or None where there is not so much."""
        if owner not in self.left or self.left[owner][1] < amount:
            return None
        tranche, left = self.left[owner]
        self.left[owner] = tranche, left - amount
        return tranche

    def give(self, owner: Owner, tranche: TrancheId, amount: int) -> None:
        """What a hold did not need."""
        there, left = self.left.get(owner, (None, 0))
        if there == tranche:
            self.left[owner] = tranche, left + amount

    async def deposit(self, owner: Owner, tranche: TrancheId, amount: NanoUsd) -> bool:
        self._answer()
        there, left = self.left.get(owner, (tranche, 0))
        if there != tranche:
            return False
        self.deposits += 1
        self.left[owner] = tranche, left + amount
        return True

    async def look(self, owner: Owner, tranche: TrancheId) -> Purse | None:
        self._answer()
        there, left = self.left.get(owner, (None, 0))
        return Purse(NanoUsd(left), self.idle) if there == tranche else None

    async def retire(self, owner: Owner, tranche: TrancheId) -> NanoUsd | None:
        self._answer()
        there, left = self.left.get(owner, (None, 0))
        if there != tranche:
            return None
        del self.left[owner]
        return NanoUsd(left)

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("no Redis here")
