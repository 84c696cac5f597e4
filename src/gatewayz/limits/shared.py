"""Admission by all workers together, in Redis."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import TrancheId
from gatewayz.core.limit import Limit
from gatewayz.core.money import NanoUsd
from gatewayz.limits import scripts
from gatewayz.limits.forms import Forms, KnownForms
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, PurseState, Refused, Unfunded
from gatewayz.limits.plan import Plan
from gatewayz.limits.redis_keys import RedisKeys
from gatewayz.limits.standing import standings_of

PURSE_LASTS = 86_400_000
"""Milliseconds for which a purse that nobody uses is kept: a tranche is retired long before."""
_BEHIND = 1.0
"""Seconds within which Redis must answer where no request waits."""


class SharedLimits:
    """`prefix` of all keys. `lease`: seconds. `within`: seconds that Redis may take to admit one request."""

    def __init__(self, redis: RedisScripts, *, prefix: str, lease: float, within: float) -> None:
        self._redis = redis
        self._keys = RedisKeys(prefix)
        self._lease = int(lease * 1000)
        self._forms = KnownForms(redis, self._keys, lease=self._lease)
        self._within = within
        self._leased: dict[str, tuple[str, ...]] = {}

    @property
    def running(self) -> int:
        """How many requests of this worker have leases."""
        return len(self._leased)

    async def admit(self, ask: Ask) -> Outcome | None:
        """Of what is counted. None where Redis cannot tell."""
        forms = self._forms.of(ask)
        said = await self._redis.ask(forms.to_admit(ask), (ask.request, ask.tokens, ask.hold), within=self._within)
        return self._outcome(ask, forms, said)

    def hear(self, ask: Ask, told: Callable[[Outcome | None], None]) -> None:
        """As `admit`, without a coroutine. `told` may be called before this returns."""
        forms = self._forms.of(ask)
        rest = (ask.request, ask.tokens, ask.hold)
        self._redis.hear(
            forms.to_admit(ask), rest, lambda said: told(self._outcome(ask, forms, said)), within=self._within
        )

    def _outcome(self, ask: Ask, forms: Forms, said: Sequence[Any] | None) -> Outcome | None:
        if said is None:
            return None
        if said[0] != b"admitted":
            return _refusal(forms.plan, said)
        if forms.leases:
            self._leased[ask.request] = forms.leases
        standings = standings_of(forms.plan, said, 3)
        return Admitted(ask=ask, at=int(said[1]), tranche=_tranche(said[2]), standings=standings, is_local=False)

    def settle(self, admitted: Admitted, tokens: int, back: NanoUsd) -> None:
        """`tokens`: those that were really used. `back`: goes back into the purse that it came from. Nobody waits; what
        Redis is not told of comes back by itself.
        """
        ask = admitted.ask
        forms = self._forms.of(ask)
        more = tokens - ask.tokens
        form = forms.settle_paid if back else forms.settle
        if form is not None and (more or back or forms.leases):
            self._leased.pop(ask.request, None)
            self._redis.post(form, (ask.request, admitted.at, more, admitted.tranche or "", back), within=_BEHIND)

    async def renew(self) -> None:
        """Hold on to the leases of what runs here."""
        by_leases: dict[tuple[str, ...], list[str]] = {}
        for request, leases in self._leased.items():
            by_leases.setdefault(leases, []).append(request)
        for leases, requests in by_leases.items():
            await self._redis.run(scripts.RENEW, leases, (self._lease, *requests), within=_BEHIND)

    async def deposit(self, name: PurseName, tranche: TrancheId, amount: NanoUsd) -> bool:
        """As Admission's; raises Unavailable, as the others do."""
        return bool(await self._sure(scripts.DEPOSIT, name, (tranche, amount, PURSE_LASTS)))

    async def look(self, name: PurseName, tranche: TrancheId) -> PurseState | None:
        found = await self._sure(scripts.LOOK, name, (tranche,))
        return PurseState(NanoUsd(int(found[0])), found[1] / 1000) if found else None

    async def retire(self, name: PurseName, tranche: TrancheId) -> NanoUsd | None:
        left = int(await self._sure(scripts.RETIRE, name, (tranche,)))
        return NanoUsd(left) if left >= 0 else None

    async def _sure(self, script: str, name: PurseName, arguments: Iterable[str | int]) -> Any:  # noqa: ANN401  as it says
        said = await self._redis.run(script, [self._keys.purse(name)], arguments, within=_BEHIND)
        if said is None:
            raise Unavailable("Redis does not tell what a purse of credits holds; try again in a moment")
        return said


def _refusal(plan: Plan, said: Sequence[Any]) -> Refused | Unfunded:
    if said[0] == b"unfunded":
        return Unfunded(tranche=_tranche(said[1]), short_by=NanoUsd(int(said[2])), is_local=False)
    return Refused(
        limit=_guilty(plan, said[1] - 1, said[2]),
        retry_after=said[3] / 1000 if said[3] >= 0 else None,
        standings=standings_of(plan, said, 4),
        is_local=False,
    )


def _tranche(text: bytes) -> TrancheId | None:
    return TrancheId(int(text)) if text else None


def _guilty(plan: Plan, index: int, measure: bytes) -> Limit:
    if index >= len(plan.windows):
        return plan.running[index - len(plan.windows)]
    window = plan.windows[index]
    guilty = window.requests if measure == b"requests" else window.tokens
    assert guilty is not None  # noqa: S101  the script names one that it was given
    return guilty
