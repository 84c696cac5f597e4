"""Purses filled when they are short: one transaction for all who wait for the same purse in this worker."""

import asyncio
from typing import Protocol

from gatewayz.core.ids import TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Owner, Purse
from gatewayz.credits.tranches import Tranches


class Purses(Protocol):
    """Where what is left of tranches is kept, for all workers or for one. Each may raise Unavailable."""

    async def deposit(self, owner: Owner, tranche: TrancheId, amount: NanoUsd, /) -> bool:
        """Put the amount into the owner's purse, which is of this tranche from then on. False, and nothing is put
        there, where it is of another one.
        """
        ...

    async def look(self, owner: Owner, tranche: TrancheId, /) -> Purse | None:
        """What the tranche's purse has left; None where there is no purse of it."""
        ...

    async def retire(self, owner: Owner, tranche: TrancheId, /) -> NanoUsd | None:
        """Take what is left out of the tranche's purse and give no more holds of it; None where there is no purse."""
        ...


class NoPurses:
    """Where nobody keeps purses: nothing can be put anywhere, and every tranche's is gone."""

    async def deposit(self, _owner: Owner, _tranche: TrancheId, _amount: NanoUsd) -> bool:
        return False

    async def look(self, _owner: Owner, _tranche: TrancheId) -> Purse | None:
        return None

    async def retire(self, _owner: Owner, _tranche: TrancheId) -> NanoUsd | None:
        return None


class Funding:
    def __init__(self, tranches: Tranches, purses: Purses) -> None:
        self._tranches = tranches
        self._purses = purses
        self._flights: dict[Owner, asyncio.Future[None]] = {}

    async def fill(
        self, owner: Owner, need: NanoUsd, tranche: TrancheId | None = None, *, hold: NanoUsd | None = None
    ) -> None:
        """Have the owner's purse hold at least `need` more; then ask admission again. `tranche`: whose purse was found
        too small, None where none was found. `hold`: what the request needs in all, by which the filling is sized.

        Who comes while this worker fills the same purse already waits for that, and may find it emptied by others: ask
        admission again, and this again if it still is. A caller who leaves disturbs nobody. Raises InsufficientQuota or
        Unavailable.
        """
        flight = self._flights.get(owner)
        if flight is None:
            flight = asyncio.ensure_future(self._fill(owner, need, tranche, hold))
            self._flights[owner] = flight
            flight.add_done_callback(lambda ended: self._land(owner, ended))
            await asyncio.shield(flight)
            return
        await asyncio.wait({flight})

    def _land(self, owner: Owner, ended: asyncio.Future[None]) -> None:
        del self._flights[owner]
        if not ended.cancelled():
            ended.exception()  # seen, also where the caller has left

    async def _fill(self, owner: Owner, need: NanoUsd, tranche: TrancheId | None, hold: NanoUsd | None) -> None:
        funded = await self._tranches.fund(owner, need, tranche, hold=hold)
        if tranche is not None and funded.is_new:
            # The purse is of a tranche that the database has retired: Redis came back with an older state.
            await self._purses.retire(owner, tranche)
        # Where it is not known whether the amount arrived it stays held, and comes back when the tranche is closed.
        if await self._purses.deposit(owner, funded.tranche, funded.amount):
            return
        if funded.is_new:
            await self._tranches.close(funded.tranche)
        else:
            await self._tranches.release(funded.tranche, funded.amount)
