"""Whether a request may run: counted by all workers together in Redis, or by this one alone where Redis is away."""

import functools
from collections import Counter
from collections.abc import Callable

from gatewayz.core.ids import TrancheId
from gatewayz.core.limit import Measure
from gatewayz.core.money import NanoUsd
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, PurseState, Refused
from gatewayz.limits.shared import SharedLimits


class Admission:
    """`shared`: None where there is no Redis.

    `counts`: how many were admitted, refused by which measure, lacked money, and were judged by this worker alone.
    """

    def __init__(self, shared: SharedLimits | None, local: LocalLimits) -> None:
        self._shared = shared
        self._local = local
        self._locally_running: dict[str, Ask] = {}
        self.counts: Counter[str] = Counter()

    async def admit(self, ask: Ask) -> Outcome:
        """All that it takes is taken, or nothing. What was admitted must be settled, whatever becomes of it.

        A caller that is cancelled in here may leave something taken: a lease ends by itself, and a hold comes back when
        its tranche is closed.
        """
        outcome: Outcome | None = None
        if not ask.is_counted:
            outcome = _uncounted(ask)
        elif self._shared is not None:
            outcome = await self._shared.admit(ask)
        if outcome is None:
            outcome = self._admit_locally(ask)
        if isinstance(outcome, Admitted):
            self.counts["admitted"] += 1
        elif isinstance(outcome, Refused):
            self.counts[f"refused_{outcome.limit.measure}"] += 1
        else:
            self.counts["unfunded"] += 1
        return outcome

    def hear(self, ask: Ask, told: Callable[[Admitted | None], None]) -> None:
        """As `admit`, without a coroutine. `told` may be called before this returns: with None where the request is not
        admitted, or Redis does not answer, which `admit` would tell more of.
        """
        if not ask.is_counted:
            self._heard(_uncounted(ask), told)
        elif self._shared is None:
            self._heard(self._admit_locally(ask), told)
        else:
            self._shared.hear(ask, functools.partial(self._heard, told=told))

    def _heard(self, outcome: Outcome | None, told: Callable[[Admitted | None], None]) -> None:
        if isinstance(outcome, Admitted):
            self.counts["admitted"] += 1
            told(outcome)
        else:
            told(None)

    def _admit_locally(self, ask: Ask) -> Outcome:
        self.counts["local"] += 1
        outcome = self._local.admit(ask)
        if isinstance(outcome, Admitted) and any(limit.measure is Measure.CONCURRENT for limit in ask.limits):
            self._locally_running[ask.request] = ask
        return outcome

    def settle(self, admitted: Admitted, *, tokens: int, cost: NanoUsd) -> None:
        """The request has ended and has used so much. Nobody waits; what Redis is not told of comes back by itself."""
        if not admitted.ask.is_counted:
            return
        back = NanoUsd(max(0, admitted.ask.hold - cost))
        if self._shared is not None and not admitted.is_local:
            self._shared.settle(admitted, tokens, back)
        else:
            self._locally_running.pop(admitted.ask.request, None)
            self._local.settle(admitted, tokens, back)

    async def renew(self) -> None:
        """Hold on to the leases of what runs here. To be called several times in the length of a lease."""
        for ask in self._locally_running.values():
            self._local.renew(ask)
        if self._shared is not None:
            await self._shared.renew()

    @property
    def has_local_purses(self) -> bool:
        """Whether this worker holds money for itself."""
        return self._local.has_purses

    @property
    def running(self) -> int:
        """How many requests run in this worker under a limit on how many may."""
        return len(self._locally_running) + (self._shared.running if self._shared is not None else 0)

    async def deposit(self, name: PurseName, tranche: TrancheId, amount: NanoUsd, *, is_local: bool) -> bool:
        """Put the amount into the purse, which is of this tranche from then on. False where it is of another one, or is
        retired. Raises Unavailable where that cannot be told.
        """
        if is_local or self._shared is None:
            return self._local.deposit(name, tranche, amount)
        return await self._shared.deposit(name, tranche, amount)

    async def look(self, name: PurseName, tranche: TrancheId, *, is_local: bool) -> PurseState | None:
        """What the tranche's purse has left; None where there is none. Raises Unavailable."""
        if is_local or self._shared is None:
            return self._local.look(name, tranche)
        return await self._shared.look(name, tranche)

    async def retire(self, name: PurseName, tranche: TrancheId, *, is_local: bool) -> NanoUsd | None:
        """Take what is left out of the tranche's purse, and give no more holds of it; None where there is none. Raises
        Unavailable.
        """
        if is_local or self._shared is None:
            return self._local.retire(name, tranche)
        return await self._shared.retire(name, tranche)


def _uncounted(ask: Ask) -> Admitted:
    return Admitted(ask=ask, at=0, tranche=None, standings=(), is_local=False)
