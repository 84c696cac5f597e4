"""Lets a request in under its limits and with its money, and settles it when it has ended, whatever became of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gatewayz.accounts.model import Principal
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.errors import InsufficientQuota, PriceUnknown, Unavailable
from gatewayz.core.money import NanoUsd
from gatewayz.credits.funding import Funding
from gatewayz.credits.journal import Journal
from gatewayz.credits.model import SHARED, Charge, Owner
from gatewayz.credits.pricing import Tariffs
from gatewayz.credits.recalls import Recall, Recalls
from gatewayz.inference.estimate import Estimate
from gatewayz.inference.metering import Usage
from gatewayz.inference.metrics import Spent
from gatewayz.limits.admission import Admission
from gatewayz.limits.errors import RateLimited
from gatewayz.limits.model import Admitted, Ask, Refused, Unfunded

log = structlog.get_logger("gatewayz.inference")

_TRIES = 64
"""A purse is filled for sixteen requests at a time, and hundreds may wait for it at once."""
_ASSUMED_MOST_OUTPUT = 32_768
"""Tokens that an answer may have where neither the request nor the offer bounds it."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a request needs to be let in. `generation`: the id under which it is charged. `offers`: any of which may
    serve it, and be charged for. `has_free`: somebody may serve it who is not charged for.
    """

    caller: Principal
    generation: str
    model: str
    offers: Sequence[Offer]
    estimate: Estimate
    is_streaming: bool
    has_free: bool = False


class Pass:
    """A request that was let in. Say what it used by `served`; without that it has cost nothing. `may_cost`: it may be
    served by who is charged for.
    """

    def __init__(self, admitted: Admitted, *, may_cost: bool = True) -> None:
        self.admitted = admitted
        self.may_cost = may_cost
        self.is_own_key = False
        self.offer: Offer | None = None
        self.usage = Usage()
        self.recall: Recall | None = None

    def served(self, offer: Offer, usage: Usage, *, is_own_key: bool = False) -> None:
        """The offer has answered, and so much was used up to now. To be said again when more is known. `is_own_key`: by
        a key of the caller's own, who is not charged for it.
        """
        self.offer = offer
        self.usage = usage
        self.is_own_key = is_own_key

    def recalled(self, recall: Recall) -> None:
        """It was answered, free of charge, by what another request had brought."""
        self.recall = recall


class Turnstile:
    """`shared` and `local` fill the purses of all workers, and those of this one, which goes by `place`."""

    def __init__(  # noqa: PLR0917  the parts
        self,
        admission: Admission,
        shared: Funding,
        local: Funding,
        journal: Journal,
        recalls: Recalls,
        clock: Clock,
        *,
        place: str,
    ) -> None:
        self._admission = admission
        self._shared = shared
        self._local = local
        self._journal = journal
        self._recalls = recalls
        self._clock = clock
        self._place = place
        self._tariffs = Tariffs()
        self.spent = Spent()

    @asynccontextmanager
    async def passed(self, wanted: Wanted) -> AsyncIterator[Pass]:
        """Raises RateLimited, InsufficientQuota, PriceUnknown or Unavailable; then nothing was taken."""
        began = self._clock.monotonic()
        let_in = await self.admit(wanted)
        try:
            yield let_in
        finally:
            self.settle(wanted, let_in, self._clock.monotonic() - began)

    async def admit(self, wanted: Wanted) -> Pass:
        """As `passed`, for who settles at once, whatever happens."""
        try:
            return Pass(await self._admitted(self._ask(wanted)))
        except (InsufficientQuota, PriceUnknown):
            if not wanted.has_free:
                raise
            return Pass(await self._admitted(self._ask(replace(wanted, offers=()))), may_cost=False)

    def hear(self, caller: Principal, generation: str, told: Callable[[Admitted | None], None]) -> None:
        """As `admit`, without a coroutine, for what costs nothing. `told` may be called before this returns: with None,
        and nothing taken, where it is not simply let in. To be settled by `recall`.
        """
        ask = Ask(request=generation, account_id=caller.account_id, key_id=caller.key_id, limits=caller.limits)
        self._admission.hear(ask, told)

    def recall(self, admitted: Admitted, recall: Recall, now: float) -> None:
        """What was let in by `hear` was answered at once, free of charge."""
        self._recalls.note(recall, admitted.ask.request, now, 0.0)
        self._admission.settle(admitted, tokens=0, cost=NanoUsd(0))

    def _ask(self, wanted: Wanted) -> Ask:
        caller = wanted.caller
        return Ask(
            request=wanted.generation,
            account_id=caller.account_id,
            key_id=caller.key_id,
            limits=caller.limits,
            tokens=wanted.estimate.likely,
            hold=max((self._most(wanted, offer) for offer in wanted.offers), default=NanoUsd(0)),
            purse=caller.key_id if caller.has_budget else None,
        )

    def _most(self, wanted: Wanted, offer: Offer) -> NanoUsd:
        return self._tariffs.of(offer.pricing).most(
            prompt=wanted.estimate.prompt_bound,
            completion=_most_output(offer, wanted.estimate),
            allow_unknown=wanted.caller.pays_unknown_prices,
        )

    def _cost(self, offer: Offer, usage: Usage) -> NanoUsd:
        """Of a request that was let in: what has no price by now costs nothing."""
        return self._tariffs.of(offer.pricing).cost(usage.priced(), allow_unknown=True)

    async def _admitted(self, ask: Ask) -> Admitted:
        if ask.hold and self._journal.is_failing:
            raise Unavailable("what requests cost cannot be written down now, so none that costs anything is let in")
        failure: Unavailable | None = None
        for _ in range(_TRIES):
            outcome = await self._admission.admit(ask)
            if isinstance(outcome, Admitted):
                return outcome
            if isinstance(outcome, Refused):
                raise RateLimited(
                    outcome.limit,
                    retry_after=outcome.retry_after,
                    standings=outcome.standings,
                    tokens=ask.tokens,
                    is_local=outcome.is_local,
                )
            try:
                await self._fund(ask, outcome)
            except Unavailable as error:  # Redis may have gone between: then this worker goes on alone
                failure = error
        raise failure or Unavailable(
            "other requests of this account took what was set aside for it; try again in a moment"
        )

    async def _fund(self, ask: Ask, outcome: Unfunded) -> None:
        owner = Owner(ask.account_id, ask.purse, self._place if outcome.is_local else SHARED)
        funding = self._local if outcome.is_local else self._shared
        await funding.fill(owner, outcome.short_by, outcome.tranche, hold=ask.hold)

    def settle(self, wanted: Wanted, let_in: Pass, seconds: float) -> None:
        """The request has ended, so many seconds after it was let in."""
        admitted, usage = let_in.admitted, let_in.usage
        spent = NanoUsd(0)
        if let_in.offer is not None:
            spent = NanoUsd(0) if let_in.is_own_key else self._cost(let_in.offer, usage)
            self.spent.add(let_in.offer, usage, spent)
            try:
                self._journal.write(self._charge(wanted, let_in, let_in.offer, spent, seconds))
            except Unavailable as error:
                # The hold stays taken, so nobody spends it twice; the journal refuses who comes next.
                log.exception("charge_not_written", generation=wanted.generation, cost=spent, reason=error.message)
                spent = admitted.ask.hold
        elif let_in.recall is not None:
            self._recalls.note(let_in.recall, wanted.generation, self._clock.now(), seconds)
        self._admission.settle(admitted, tokens=usage.prompt + usage.completion, cost=spent)

    def _charge(self, wanted: Wanted, let_in: Pass, offer: Offer, spent: NanoUsd, seconds: float) -> Charge:
        usage, admitted = let_in.usage, let_in.admitted
        return Charge(
            request_id=wanted.generation,
            account_id=wanted.caller.account_id,
            key_id=wanted.caller.key_id,
            model=offer.id,
            provider=offer.provider,
            native_id=offer.native_id,
            ended_at=self._clock.now(),
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cached_tokens=usage.cached,
            cache_write_tokens=usage.cache_write,
            reasoning_tokens=usage.reasoning,
            cost=spent,
            hold=admitted.ask.hold,
            tranche=admitted.tranche,
            is_own_key=let_in.is_own_key,
            is_stream=wanted.is_streaming,
            latency=seconds,
        )


def _most_output(offer: Offer, estimate: Estimate) -> int:
    if estimate.output is not None:
        return estimate.output
    return offer.max_output_tokens or offer.context_length or _ASSUMED_MOST_OUTPUT
