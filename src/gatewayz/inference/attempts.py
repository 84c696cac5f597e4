"""One provider after the other, until one begins to answer."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from msgspec import Struct

from gatewayz.accounts.provider_keys import OwnKey
from gatewayz.core.clock import Clock
from gatewayz.core.course import attempting, waiting
from gatewayz.core.errors import InvalidRequest, NotSupported, OwnKeyRefused, ProviderFailed
from gatewayz.health.breakers import Breakers, Pass
from gatewayz.inference.config import InferenceConfig
from gatewayz.inference.metrics import AttemptCounts
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.retry_budget import RetryBudget, RetryBudgets
from gatewayz.inference.standing import Standings, Way
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt, ChatDialect, Endpoint

log = structlog.get_logger("gatewayz.inference")

_ACCOUNT_TROUBLE = (401, 402, 403)
"""The provider refuses us, whatever we ask for."""
_NOT_FOR_THIS = 403
"""A key of a caller's own may be good for other models."""
_PASSING = (None, 408, 425, 429, 500, 502, 503, 504, 529)
"""Statuses of what may be over in a moment; None where no answer came."""
_LEAST_PAUSE = 1.0


class Opened(Struct, frozen=True):
    """An answer that has begun, and the way by which it is had."""

    answer: ChatAnswer
    way: Way


class _Entered(Struct, frozen=True):
    """Leave of both: the provider, for what concerns the account there, and the offer."""

    way: Way
    breakers: Breakers
    provider: Pass
    offer: Pass


class Attempts:
    """`providers` speak one of `dialects`. `counts`: attempts by provider and how they went, with the gateway's keys,
    and `own_counts` with callers' own.
    """

    def __init__(  # noqa: PLR0917  the parts
        self,
        providers: Mapping[str, ConfiguredProvider],
        dialects: Mapping[str, ChatDialect],
        standings: Standings,
        config: InferenceConfig,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._providers = providers
        self._dialects = dialects
        self._standings = standings
        self._config = config
        self._clock = clock
        self._rng = rng
        self._budget = RetryBudget(config.retry_share)
        self._own_budgets = RetryBudgets(config.retry_share)
        self.counts: AttemptCounts = Counter()
        self.own_counts: AttemptCounts = Counter()

    @asynccontextmanager
    async def opened(self, request: ChatRequest, route: Sequence[Way]) -> AsyncIterator[Opened]:
        """The first answer that begins; leaving the context ends the provider's work on it. Once it has begun no other
        is tried.

        Raises InvalidRequest (the caller's fault, tried nowhere else), OwnKeyRefused (likewise) or ProviderFailed, the
        last one's.
        """
        entered: _Entered | None = None
        try:
            async with AsyncExitStack() as stack:
                with waiting():
                    opened, entered = await self._first(request, route, stack)
                yield opened
        except ProviderFailed as failure:
            if entered is not None:
                self._count(opened.way, "broken_off")
                await self._note(entered, failure, had_begun=True)
            raise

    async def _first(
        self, request: ChatRequest, route: Sequence[Way], stack: AsyncExitStack
    ) -> tuple[Opened, _Entered]:
        budget = self._budget_of(route)
        budget.earn()
        ends_at = self._clock.monotonic() + self._config.deadline
        rounds = 0
        while True:
            rounds += 1
            failures: list[ProviderFailed] = []
            for way in route:
                entered = await self._enter(way)
                if entered is None:
                    continue
                try:
                    answer = await self._attempt(request, way, stack)
                except ProviderFailed as failure:
                    failures.append(failure)
                    await self._note(entered, failure)
                    _check_own_key(way, failure)
                except InvalidRequest:  # who finds fault with a request is well
                    await self._went_well(entered)
                    raise
                except BaseException:  # the caller has left: nothing is known of the provider
                    self._abandon(entered)
                    raise
                else:
                    await self._went_well(entered)
                    return Opened(answer, way), entered
                if self._clock.monotonic() >= ends_at:
                    break
            wait = self._wait_after(rounds, failures, ends_at, budget)
            if wait is None:
                raise _last(failures) if failures else self._nobody(route)
            await asyncio.sleep(wait)

    async def _attempt(self, request: ChatRequest, way: Way, stack: AsyncExitStack) -> ChatAnswer:
        configured = self._providers[way.offer.provider]
        attempt = ChatAttempt(
            provider=configured.provider,
            api_key=configured.api_key if way.own is None else way.own.secret,
            native_id=way.offer.native_id,
            body=request.upstream_body(),
            is_streaming=request.is_streaming,
            most_output=way.offer.max_output_tokens,
            endpoint=request.endpoint,
            prompts=request.prompts,
        )
        began, health = self._clock.monotonic(), self._standings.of(way).health
        try:
            with attempting(way.offer.provider, way.offer.id):
                answer = await stack.enter_async_context(self._dialects[configured.provider.dialect].chat(attempt))
        except InvalidRequest:
            if health is not None:
                health.spoke(way.account, way.name)
            raise
        self._began(request, way, self._clock.monotonic() - began)
        return answer

    def _began(self, request: ChatRequest, way: Way, seconds: float) -> None:
        standing = self._standings.of(way)
        if request.endpoint is Endpoint.TOKENS:  # which says nothing of how long a chat takes
            if standing.health is not None:
                standing.health.spoke(way.account, way.name)
            return
        standing.scores.began(way.name, seconds)
        if standing.health is not None:
            standing.health.answered(way.account, way.name, seconds, is_stream=request.is_streaming)

    async def _enter(self, way: Way) -> _Entered | None:
        """None where the offer, or its provider, is left alone. Raises OwnKeyRefused where the caller's own key is."""
        breakers = self._standings.of(way).breakers
        if way.own is not None and way.own.secret is None:
            raise _own_key_lost(way, way.own)
        entered = None
        if not breakers.pause_of(way.name) and not breakers.pause_of(way.account):
            entered = await _entered(way, breakers)
        if entered is None:
            self._count(way, "passed_by")
            if way.own is not None and (pause := breakers.pause_of(way.account)):
                raise _own_key_refused_lately(way, way.own, pause)
        return entered

    async def _went_well(self, entered: _Entered) -> None:
        self._count(entered.way, "answered")
        health = self._standings.of(entered.way).health
        for each in (entered.provider, entered.offer):
            await entered.breakers.succeeded(each)
            if each.probe and health is not None:
                health.recovered(each.name)

    def _abandon(self, entered: _Entered) -> None:
        entered.breakers.abandoned(entered.provider)
        entered.breakers.abandoned(entered.offer)

    async def _note(self, entered: _Entered, failure: ProviderFailed, *, had_begun: bool = False) -> None:
        """Hold it against the offer; where the account there is in trouble, against all that it asks for, for long."""
        way, breakers = entered.way, entered.breakers
        if isinstance(failure, NotSupported):
            self._abandon(entered)
            return
        self._count(way, "failed")
        if not _is_of_account(failure):
            await breakers.succeeded(entered.provider)
            await breakers.failed(entered.offer, pause=failure.retry_after or 0.0)
        elif way.own is not None and failure.status == _NOT_FOR_THIS:
            self._abandon(entered)
        else:
            await breakers.failed(entered.provider, pause=math.inf)
            breakers.abandoned(entered.offer)
            if way.own is None:
                log.error("provider_refuses_us", provider=way.offer.provider, reason=failure.message)
        if (health := self._standings.of(way).health) is not None:
            name = None if _is_of_account(failure) else way.name
            pause = breakers.pause_of(name or way.account)
            health.failed(way.account, name, had_begun=had_begun, pause=pause)

    def _count(self, way: Way, outcome: str) -> None:
        counts = self.counts if way.own is None else self.own_counts
        counts[way.offer.provider, outcome] += 1

    def _budget_of(self, route: Sequence[Way]) -> RetryBudget:
        """Whoever brings a key of his own spends no retry of anybody else's."""
        first = route[0]
        return self._budget if first.own is None else self._own_budgets.of(first.own.id)

    def _wait_after(
        self, rounds: int, failures: Sequence[ProviderFailed], ends_at: float, budget: RetryBudget
    ) -> float | None:
        """Seconds before another round, None where there is to be none: too many were made, it would be too late, or
        somebody failed in a way that does not pass.
        """
        passing = [each for each in failures if each.status in _PASSING and not isinstance(each, NotSupported)]
        if rounds >= self._config.rounds or not passing or len(passing) < len(failures):
            return None
        wait: float = self._config.first_wait * 2.0 ** (rounds - 1) * self._rng.uniform(0.5, 1.5)
        wait = max(wait, min(each.retry_after or 0.0 for each in failures))
        if wait > self._config.longest_wait or self._clock.monotonic() + wait >= ends_at or not budget.spend():
            return None
        return wait

    def _nobody(self, route: Sequence[Way]) -> ProviderFailed:
        pauses = {}
        for way in route:
            breakers = self._standings.of(way).breakers
            pauses[way.offer.provider] = max(breakers.pause_of(way.account), breakers.pause_of(way.name), _LEAST_PAUSE)
        names = ", ".join(f"{slug!r} for {pause:.0f} s" for slug, pause in pauses.items())
        model = route[0].offer.id
        failure = ProviderFailed(f"every provider of {model!r} has failed of late and is left alone: {names}")
        failure.retry_after = min(pauses.values())
        return failure


async def _entered(way: Way, breakers: Breakers) -> _Entered | None:
    if (of_provider := await breakers.enter(way.account)) is not None:
        if (of_offer := await breakers.enter(way.name)) is not None:
            return _Entered(way, breakers, of_provider, of_offer)
        breakers.abandoned(of_provider)
    return None


def _is_of_account(failure: ProviderFailed) -> bool:
    """The provider refuses whoever has this key, or has served it all that it may have."""
    return failure.status in _ACCOUNT_TROUBLE or failure.is_quota


def _check_own_key(way: Way, failure: ProviderFailed) -> None:
    """Raises OwnKeyRefused where a key of the caller's own is to blame."""
    if way.own is None or not _is_of_account(failure):
        return
    message = f"{failure.message}; it was asked with {_named(way.own)}: {_remedy(way)}"
    raise OwnKeyRefused(message, status=failure.status, is_quota=failure.is_quota) from failure


def _own_key_refused_lately(way: Way, own: OwnKey, pause: float) -> OwnKeyRefused:
    message = f"the provider {way.offer.provider!r} has refused {_named(own)} and is asked again in {pause:.0f} s"
    return OwnKeyRefused(f"{message}: {_remedy(way)}", retry_after=pause)


def _own_key_lost(way: Way, own: OwnKey) -> OwnKeyRefused:
    return OwnKeyRefused(f"{_named(own)} for {way.offer.provider!r} cannot be opened any more: {_remedy(way)}")


def _named(own: OwnKey) -> str:
    ending = f", which ends in {own.last_four!r}," if own.last_four else ""
    return f"your account's own key {own.id}{ending}"


def _remedy(way: Way) -> str:
    return f"PUT /v1/provider-keys/{way.offer.provider} sets another, DELETE removes it"


def _last(failures: Sequence[ProviderFailed]) -> ProviderFailed:
    """The last one's that was asked at all, with the time after which the first of them may be asked again if each has
    said so.
    """
    asked = [each for each in failures if not isinstance(each, NotSupported)]
    if not asked:
        return failures[-1]
    waits = [each.retry_after for each in asked if each.retry_after is not None]
    asked[-1].retry_after = min(waits) if len(waits) == len(asked) else None
    return asked[-1]
