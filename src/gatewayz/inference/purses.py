"""The purses that admission keeps, as the ledger's tranches want them: those of all workers, or this one's own."""

from gatewayz.core.ids import TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Owner, Purse
from gatewayz.limits.admission import Admission
from gatewayz.limits.model import PurseName


class KeptPurses:
    """`is_local`: in this worker's memory, for the time in which Redis is away."""

    def __init__(self, admission: Admission, *, is_local: bool) -> None:
        self._admission = admission
        self._is_local = is_local

    async def deposit(self, owner: Owner, tranche: TrancheId, amount: NanoUsd) -> bool:
        return await self._admission.deposit(_name(owner), tranche, amount, is_local=self._is_local)

    async def look(self, owner: Owner, tranche: TrancheId) -> Purse | None:
        state = await self._admission.look(_name(owner), tranche, is_local=self._is_local)
        return None if state is None else Purse(state.left, state.idle)

    async def retire(self, owner: Owner, tranche: TrancheId) -> NanoUsd | None:
        return await self._admission.retire(_name(owner), tranche, is_local=self._is_local)


def _name(owner: Owner) -> PurseName:
    return PurseName(owner.account_id, owner.key_id)
