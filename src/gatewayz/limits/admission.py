"""Whether a request may run: counted by all workers together in Redis, or by this one alone where Redis is away."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import TrancheId
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.limits import scripts
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, PurseState, Refused, Standing, Unfunded
from gatewayz.limits.plan import Plan, planned
from gatewayz.limits.standing import standings_of
from gatewayz.limits.window import MICROSECONDS

PURSE_LASTS = 86_400_000
"""Milliseconds for which a purse that nobody uses is kept: a tranche is retired long before."""


class Admission:
    """`prefix` of all keys. `lease`: seconds. `within`: seconds that Redis may take to admit one request.

    `counts`: how many were admitted, refused by which measure, lacked money, and were judged by this worker alone.
    """

    def __init__(
        self, redis: RedisScripts | None, local: LocalLimits, *, prefix: str, lease: float, within: float
    ) -> None:
        self._redis = redis
        self._local = local
        self._prefix = prefix
        self._lease = int(lease * 1000)
        self._within = within
        self._running: dict[str, Admitted] = {}
        self.counts: Counter[str] = Counter()

    async def admit(self, ask: Ask) -> Outcome:
        """All that it takes is taken, or nothing. What was admitted must be settled, whatever becomes of it.

        A caller that is cancelled in here may leave something taken: a lease ends by itself, and a hold comes back when
        its tranche is closed.
        """
        outcome = await self._ask_redis(ask)
        if outcome is None:
            outcome = self._local.admit(ask)
            self.counts["local"] += 1
        self._count(outcome)
        return outcome

    def settle(self, admitted: Admitted, *, tokens: int, cost: NanoUsd) -> None:
        """The request has ended and has used so much. Nobody waits; what Redis is not told of comes back by itself."""
        self._running.pop(admitted.ask.request, None)
        back = NanoUsd(max(0, admitted.ask.hold - cost))
        if admitted.is_local or self._redis is None:
            self._local.settle(admitted, tokens, back)
            return
        ask, plan = admitted.ask, planned(admitted.ask.limits)
        counted = [each for each in plan.windows if each.tokens is not None and tokens != ask.tokens]
        keys = [self._window(ask, each.subject, each.seconds) for each in counted]
        keys += [self._set(ask, limit) for limit in plan.running]
        if back:
            keys.append(self._purse(PurseName(ask.account_id, ask.purse)))
        if keys:
            spans = [each.seconds * MICROSECONDS for each in counted]
            arguments = (ask.request, admitted.at, tokens - ask.tokens, admitted.tranche or "", back, len(counted))
            self._redis.post(scripts.SETTLE, keys, (*arguments, *spans), within=1.0)

    async def renew(self) -> None:
        """Hold on to the leases of what runs here. To be called several times in the length of a lease."""
        by_keys: dict[tuple[str, ...], list[str]] = {}
        for admitted in self._running.values():
            if admitted.is_local:
                self._local.renew(admitted.ask)
            elif keys := tuple(self._set(admitted.ask, limit) for limit in planned(admitted.ask.limits).running):
                by_keys.setdefault(keys, []).append(admitted.ask.request)
        if self._redis is not None:
            for keys, requests in by_keys.items():
                await self._redis.run(scripts.RENEW, keys, (self._lease, *requests), within=1.0)

    @property
    def has_local_purses(self) -> bool:
        """Whether this worker holds money for itself."""
        return self._local.has_purses

    @property
    def running(self) -> int:
        """How many requests run in this worker under a limit on how many may."""
        return len(self._running)

    async def deposit(self, name: PurseName, tranche: TrancheId, amount: NanoUsd, *, is_local: bool) -> bool:
        """Put the amount into the purse, which is of this tranche from then on. False where it is of another one, or is
        retired. Raises Unavailable where that cannot be told.
        """
        if is_local or self._redis is None:
            return self._local.deposit(name, tranche, amount)
        return bool(await self._sure(scripts.DEPOSIT, name, (tranche, amount, PURSE_LASTS)))

    async def look(self, name: PurseName, tranche: TrancheId, *, is_local: bool) -> PurseState | None:
        """What the tranche's purse has left; None where there is none. Raises Unavailable."""
        if is_local or self._redis is None:
            return self._local.look(name, tranche)
        found = await self._sure(scripts.LOOK, name, (tranche,))
        return PurseState(NanoUsd(int(found[0])), found[1] / 1000) if found else None

    async def retire(self, name: PurseName, tranche: TrancheId, *, is_local: bool) -> NanoUsd | None:
        """Take what is left out of the tranche's purse, and give no more holds of it; None where there is none. Raises
        Unavailable.
        """
        if is_local or self._redis is None:
            return self._local.retire(name, tranche)
        left = int(await self._sure(scripts.RETIRE, name, (tranche,)))
        return NanoUsd(left) if left >= 0 else None

    async def _sure(self, script: str, name: PurseName, arguments: Iterable[str | int]) -> Any:  # noqa: ANN401  as it says
        said = await self._redis.run(script, [self._purse(name)], arguments, within=1.0) if self._redis else None
        if said is None:
            raise Unavailable("Redis does not tell what a purse of credits holds; try again in a moment")
        return said

    async def _ask_redis(self, ask: Ask) -> Outcome | None:
        if self._redis is None:
            return None
        plan = planned(ask.limits)
        keys = [self._window(ask, each.subject, each.seconds) for each in plan.windows]
        keys += [self._set(ask, limit) for limit in plan.running]
        if ask.hold > 0:
            keys.append(self._purse(PurseName(ask.account_id, ask.purse)))
        if not keys:
            return Admitted(ask=ask, at=0, tranche=None, standings=(), is_local=False)
        arguments: list[str | int] = [ask.request, ask.tokens, ask.hold, self._lease, len(plan.windows)]
        for each in plan.windows:
            arguments += (each.seconds * MICROSECONDS, each.most_requests, each.most_tokens)
        arguments += [limit.amount for limit in plan.running]
        said = await self._redis.run(scripts.ADMIT, keys, arguments, within=self._within)
        return None if said is None else _outcome(ask, plan, said)

    def _count(self, outcome: Outcome) -> None:
        if isinstance(outcome, Admitted):
            self.counts["admitted"] += 1
            if any(limit.measure is Measure.CONCURRENT for limit in outcome.ask.limits):
                self._running[outcome.ask.request] = outcome
        elif isinstance(outcome, Refused):
            self.counts[f"refused_{outcome.limit.measure}"] += 1
        else:
            self.counts["unfunded"] += 1

    def _window(self, ask: Ask, subject: Subject, seconds: int) -> str:
        return f"{self._prefix}{{{ask.account_id}}}:{_who(ask, subject)}:{seconds}"

    def _set(self, ask: Ask, limit: Limit) -> str:
        return f"{self._prefix}{{{ask.account_id}}}:{_who(ask, limit.subject)}:running"

    def _purse(self, name: PurseName) -> str:
        return f"{self._prefix}{{{name.account_id}}}:{name.key_id or 'account'}:purse"


def _who(ask: Ask, subject: Subject) -> str:
    return ask.key_id if subject is Subject.KEY else "account"


def _outcome(ask: Ask, plan: Plan, said: Sequence[Any]) -> Outcome:
    word = said[0]
    if word == b"unfunded":
        return Unfunded(tranche=_tranche(said[1]), short_by=NanoUsd(int(said[2])), is_local=False)
    if word == b"admitted":
        standings = _standings(plan, said, 3)
        return Admitted(ask=ask, at=int(said[1]), tranche=_tranche(said[2]), standings=standings, is_local=False)
    return Refused(
        limit=_guilty(plan, said[1] - 1, said[2]),
        retry_after=said[3] / 1000 if said[3] >= 0 else None,
        standings=_standings(plan, said, 4),
        is_local=False,
    )


def _tranche(text: bytes) -> TrancheId | None:
    return TrancheId(int(text)) if text else None


def _guilty(plan: Plan, index: int, measure: bytes) -> Limit:
    if index >= len(plan.windows):
        return plan.running[index - len(plan.windows)]
    window: Mapping[bytes, Limit | None] = {
        b"requests": plan.windows[index].requests,
        b"tokens": plan.windows[index].tokens,
    }
    guilty = window[measure]
    assert guilty is not None  # noqa: S101  the script names one that it was given
    return guilty


def _standings(plan: Plan, said: Sequence[Any], first: int) -> tuple[Standing, ...]:
    after = first + 3 * len(plan.windows)
    counted = [(said[n], said[n + 1], said[n + 2] / 1000) for n in range(first, after, 3)]
    return standings_of(plan, counted, said[after:])
