"""What the elected process does for the tranches of all: retires, closes, grants what time brings, and proves."""

import asyncio
from collections.abc import Sequence

import structlog

from gatewayz.core.clock import Clock
from gatewayz.core.errors import Unavailable
from gatewayz.core.money import NanoUsd
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.funding import Purses
from gatewayz.credits.model import SHARED, Drift
from gatewayz.credits.reconciliation import Reconciliation
from gatewayz.credits.repository import CreditsRepository
from gatewayz.credits.tranches import OpenTranche, Tranches

log = structlog.get_logger("gatewayz.credits")

# Who asks for an allowance gets it at once: these looks are for who only reads the balance.
_GRANT_EVERY = 60.0


class Tending:
    """`purses`: those of SHARED tranches. Tranches of other places are their workers' to retire, by `retire_due`; what
    those leave behind is retired here when it is twice as old.
    """

    def __init__(  # noqa: PLR0917  the parts by name
        self,
        tranches: Tranches,
        purses: Purses,
        repository: CreditsRepository,
        reconciliation: Reconciliation,
        config: CreditsConfig,
        clock: Clock,
    ) -> None:
        self._tranches = tranches
        self._purses = purses
        self._repository = repository
        self._reconciliation = reconciliation
        self._config = config
        self._clock = clock
        self._granted_at: float | None = None
        self._proven_at: float | None = None
        self.drifts: Sequence[Drift] = ()

    @property
    def drift(self) -> NanoUsd:
        """By how much the amounts differ that must be the same, as the last proof found."""
        return NanoUsd(sum(abs(each.found - each.expected) for each in self.drifts))

    async def tend(self) -> None:
        """Once; see `tend_for_ever`. Raises Unavailable."""
        await retire_due(self._tranches, self._purses, SHARED, self._config)
        await self._retire_abandoned()
        for tranche in await self._tranches.list_closable():
            released = await self._tranches.close(tranche)
            if released:
                log.info("tranche_closed", tranche=tranche, released=released)
        await self._grant_when_due()
        await self._prove_when_due()

    async def tend_for_ever(self) -> None:
        """Only the elected process should run this."""
        while True:
            await self.tend()
            await asyncio.sleep(self._config.tend_every)

    async def _retire_abandoned(self) -> None:
        for tranche in await self._tranches.list_unretired(older_than=2 * self._config.retire_after):
            if tranche.owner.place != SHARED:
                await self._tranches.retire(tranche.id, NanoUsd(0))

    async def _grant_when_due(self) -> None:
        now = self._clock.monotonic()
        if self._granted_at is None or now - self._granted_at >= _GRANT_EVERY:
            for account in await self._repository.list_due_accounts(self._clock.now()):
                await self._tranches.touch(account)
            self._granted_at = now

    async def _prove_when_due(self) -> None:
        now = self._clock.monotonic()
        if self._proven_at is not None and now - self._proven_at < self._config.reconcile_every:
            return
        self.drifts = await self._reconciliation.drifts()
        self._proven_at = now
        for drift in self.drifts:
            log.error(
                "ledger_drift", what=drift.what, account=drift.account_id, expected=drift.expected, found=drift.found
            )


async def retire_due(tranches: Tranches, purses: Purses, place: str, config: CreditsConfig) -> None:
    """Retire the tranches of this place that are old or idle. Purses that cannot be asked wait for the next time; one
    that is gone is retired when it is old, with nothing left.
    """
    for tranche in await tranches.list_unretired(older_than=min(config.retire_idle, config.retire_after), place=place):
        try:
            left = await _left(tranche, purses, config)
        except Unavailable as error:
            log.warning("purses_unreachable", place=place, reason=error.message)
            return
        if left is not None:
            await tranches.retire(tranche.id, left)


async def retire_all(tranches: Tranches, purses: Purses, place: str) -> None:
    """Retire every tranche of a place whose worker leaves. Raises Unavailable."""
    for tranche in await tranches.list_unretired(older_than=0, place=place):
        left = await purses.retire(tranche.owner, tranche.id)
        await tranches.retire(tranche.id, left or NanoUsd(0))


async def _left(tranche: OpenTranche, purses: Purses, config: CreditsConfig) -> NanoUsd | None:
    """What was left in the purse, which has given its last hold; None if it may go on."""
    is_old = tranche.age >= config.retire_after
    purse = await purses.look(tranche.owner, tranche.id)
    if purse is not None and (is_old or purse.idle >= config.retire_idle):
        left = await purses.retire(tranche.owner, tranche.id)
        return NanoUsd(0) if left is None else left
    return NanoUsd(0) if purse is None and is_old else None
