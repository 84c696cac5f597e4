"""One provider after the other, until one begins to answer."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from msgspec import Struct

from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.course import attempting, waiting
from gatewayz.core.errors import InvalidRequest, NotSupported, ProviderFailed
from gatewayz.health.breakers import Breakers, Pass
from gatewayz.health.scores import Scores
from gatewayz.inference.config import InferenceConfig
from gatewayz.inference.metrics import AttemptCounts
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.retry_budget import RetryBudget
from gatewayz.inference.routing import offer_name
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt, ChatDialect

log = structlog.get_logger("gatewayz.inference")

_ACCOUNT_TROUBLE = (401, 402, 403)
"""The provider refuses us, whatever we ask for."""
_PASSING = (None, 408, 425, 429, 500, 502, 503, 504, 529)
"""Statuses of what may be over in a moment; None where no answer came."""
_LEAST_PAUSE = 1.0


class Opened(Struct, frozen=True):
    """An answer that has begun, and the offer that gives it."""

    answer: ChatAnswer
    offer: Offer


class _Entered(Struct, frozen=True):
    """Leave of both: the provider, for what concerns our account there, and the offer."""

    provider: Pass
    offer: Pass


class Attempts:
    """`providers` speak one of `dialects`. `counts`: attempts by provider and how they went."""

    def __init__(  # noqa: PLR0917  the parts
        self,
        providers: Mapping[str, ConfiguredProvider],
        dialects: Mapping[str, ChatDialect],
        breakers: Breakers,
        scores: Scores,
        config: InferenceConfig,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._providers = providers
        self._dialects = dialects
        self._breakers = breakers
        self._scores = scores
        self._config = config
        self._clock = clock
        self._rng = rng
        self._budget = RetryBudget(config.retry_share)
        self.counts: AttemptCounts = Counter()

    @asynccontextmanager
    async def opened(self, request: ChatRequest, route: Sequence[Offer]) -> AsyncIterator[Opened]:
        """The first answer that begins; leaving the context ends the provider's work on it. Once it has begun no other
        is tried.

        Raises InvalidRequest (the caller's fault, tried nowhere else) or ProviderFailed, the last one's.
        """
        entered: _Entered | None = None
        try:
            async with AsyncExitStack() as stack:
                with waiting():
                    opened, entered = await self._first(request, route, stack)
                yield opened
        except ProviderFailed as failure:
            if entered is not None:
                self.counts[opened.offer.provider, "broken_off"] += 1
                await self._note(entered, failure)
            raise

    async def _first(
        self, request: ChatRequest, route: Sequence[Offer], stack: AsyncExitStack
    ) -> tuple[Opened, _Entered]:
        self._budget.earn()
        ends_at = self._clock.monotonic() + self._config.deadline
        rounds = 0
        while True:
            rounds += 1
            failures: list[ProviderFailed] = []
            for offer in route:
                entered = await self._enter(offer)
                if entered is None:
                    continue
                try:
                    answer = await self._attempt(request, offer, stack)
                except ProviderFailed as failure:
                    failures.append(failure)
                    await self._note(entered, failure)
                except InvalidRequest:  # who finds fault with a request is well
                    await self._went_well(entered)
                    raise
                except BaseException:  # the caller has left: nothing is known of the provider
                    self._abandon(entered)
                    raise
                else:
                    await self._went_well(entered)
                    return Opened(answer, offer), entered
                if self._clock.monotonic() >= ends_at:
                    break
            wait = self._wait_after(rounds, failures, ends_at)
            if wait is None:
                raise _last(failures) if failures else self._nobody(route)
            await asyncio.sleep(wait)

    async def _attempt(self, request: ChatRequest, offer: Offer, stack: AsyncExitStack) -> ChatAnswer:
        configured = self._providers[offer.provider]
        attempt = ChatAttempt(
            provider=configured.provider,
            api_key=configured.api_key,
            native_id=offer.native_id,
            body=request.upstream_body(),
            is_streaming=request.is_streaming,
            most_output=offer.max_output_tokens,
            endpoint=request.endpoint,
        )
        began = self._clock.monotonic()
        with attempting(offer.provider, offer.id):
            answer = await stack.enter_async_context(self._dialects[configured.provider.dialect].chat(attempt))
        self._scores.began(offer_name(offer), self._clock.monotonic() - began)
        return answer

    async def _enter(self, offer: Offer) -> _Entered | None:
        """None where the offer, or its provider, is left alone."""
        name = offer_name(offer)
        if self._breakers.pause_of(name) or self._breakers.pause_of(offer.provider):
            self.counts[offer.provider, "passed_by"] += 1
            return None
        if (of_provider := await self._breakers.enter(offer.provider)) is not None:
            if (of_offer := await self._breakers.enter(name)) is not None:
                return _Entered(of_provider, of_offer)
            self._breakers.abandoned(of_provider)
        self.counts[offer.provider, "passed_by"] += 1
        return None

    async def _went_well(self, entered: _Entered) -> None:
        self.counts[entered.provider.name, "answered"] += 1
        await self._breakers.succeeded(entered.provider)
        await self._breakers.succeeded(entered.offer)

    def _abandon(self, entered: _Entered) -> None:
        self._breakers.abandoned(entered.provider)
        self._breakers.abandoned(entered.offer)

    async def _note(self, entered: _Entered, failure: ProviderFailed) -> None:
        """Hold it against the offer; where our account there is in trouble, against the provider, for long."""
        if isinstance(failure, NotSupported):
            self._abandon(entered)
            return
        self.counts[entered.provider.name, "failed"] += 1
        if failure.status in _ACCOUNT_TROUBLE or failure.is_quota:
            await self._breakers.failed(entered.provider, pause=math.inf)
            self._breakers.abandoned(entered.offer)
            log.error("provider_refuses_us", provider=entered.provider.name, reason=failure.message)
        else:
            await self._breakers.succeeded(entered.provider)
            await self._breakers.failed(entered.offer, pause=failure.retry_after or 0.0)

    def _wait_after(self, rounds: int, failures: Sequence[ProviderFailed], ends_at: float) -> float | None:
        """Seconds before another round, None where there is to be none: too many were made, it would be too late, or
        somebody failed in a way that does not pass.
        """
        passing = [each for each in failures if each.status in _PASSING and not isinstance(each, NotSupported)]
        if rounds >= self._config.rounds or not passing or len(passing) < len(failures):
            return None
        wait: float = self._config.first_wait * 2.0 ** (rounds - 1) * self._rng.uniform(0.5, 1.5)
        wait = max(wait, min(each.retry_after or 0.0 for each in failures))
        if wait > self._config.longest_wait or self._clock.monotonic() + wait >= ends_at or not self._budget.spend():
            return None
        return wait

    def _nobody(self, route: Sequence[Offer]) -> ProviderFailed:
        pauses = {
            offer.provider: max(
                self._breakers.pause_of(offer.provider), self._breakers.pause_of(offer_name(offer)), _LEAST_PAUSE
            )
            for offer in route
        }
        names = ", ".join(f"{slug!r} for {pause:.0f} s" for slug, pause in pauses.items())
        failure = ProviderFailed(f"every provider of {route[0].id!r} has failed of late and is left alone: {names}")
        failure.retry_after = min(pauses.values())
        return failure


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
