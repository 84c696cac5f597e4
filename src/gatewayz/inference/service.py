"""One chat request's life: who offers the model, let in, tried in order, answered, metered, settled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from gatewayz.accounts.model import Principal
from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.course import awaited
from gatewayz.inference.attempts import Attempts, Opened
from gatewayz.inference.estimate import Estimate, estimate
from gatewayz.inference.metering import Usage, metered_stream, metered_whole
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.preferences import NONE, Preferences
from gatewayz.inference.routing import Router
from gatewayz.inference.standing import Standings
from gatewayz.inference.turnstile import Pass, Turnstile, Wanted
from gatewayz.limits.model import Admitted
from gatewayz.providers.dialects.chat import ChatAnswer, Endpoint


class Call(Struct, frozen=True, kw_only=True):
    """A request and who sends it. `generation`: the id under which it is charged. `body`: as it came."""

    caller: Principal
    generation: str
    request: ChatRequest
    body: bytes
    preferences: Preferences = NONE


_NOTHING = Estimate(0, 0, 0, 0)


def wanting_nothing(call: Call) -> Wanted:
    """Who needs nobody to work for him counts against the limits on requests, and pays nothing."""
    return Wanted(
        caller=call.caller,
        generation=call.generation,
        model=call.request.model,
        offers=(),
        estimate=_NOTHING,
        is_streaming=call.request.is_streaming,
    )


class Served(Struct, frozen=True):
    """An open answer, the offer that gives it, and how it was let in."""

    answer: ChatAnswer
    offer: Offer
    admitted: Admitted


class InferenceService:
    def __init__(  # noqa: PLR0917  the parts
        self,
        router: Router,
        turnstile: Turnstile,
        attempts: Attempts,
        provider_keys: ProviderKeys,
        standings: Standings,
        clock: Clock,
    ) -> None:
        self._router = router
        self._turnstile = turnstile
        self._attempts = attempts
        self._provider_keys = provider_keys
        self._standings = standings
        self._clock = clock

    @asynccontextmanager
    async def chat(self, call: Call) -> AsyncIterator[Served]:
        """Open the first answer that an offer of the model gives. Leaving the context ends the upstream request, and
        charges for what was used.

        Who cannot pay is served by the keys of its own that it has. Raises what ProviderKeys.of, Router.route,
        Turnstile.passed and Attempts.opened raise.
        """
        request = call.request
        bounds = estimate(request, call.body)
        keys = await self._provider_keys.of(call.caller)
        route = await self._router.route(request.model, call.preferences, bounds, keys)
        wanted = Wanted(
            caller=call.caller,
            generation=call.generation,
            model=request.model,
            offers=[way.offer for way in route if way.own is None],
            estimate=bounds,
            is_streaming=request.is_streaming,
            has_free=any(way.own is not None for way in route),
        )
        async with self._turnstile.passed(wanted) as let_in:
            open_to = route if let_in.may_cost else [way for way in route if way.own is not None]
            async with self._attempts.opened(request, open_to) as opened:
                began = self._clock.monotonic()
                yield Served(_metered(opened, let_in, wanted, request), opened.way.offer, let_in.admitted)
                seconds = self._clock.monotonic() - began
                scores = self._standings.of(opened.way).scores
                scores.ended(opened.way.name, let_in.usage.completion, seconds)


def _metered(opened: Opened, let_in: Pass, wanted: Wanted, request: ChatRequest) -> ChatAnswer:
    """The same answer, which notes what it used in the pass while it is read."""
    answer, way = opened.answer, opened.way
    came = awaited(answer.chunks, is_stream=request.is_streaming)
    prompt = wanted.estimate.likely_prompt

    def note(used: Usage) -> None:
        let_in.served(way.offer, used, is_own_key=way.own is not None)

    if request.is_streaming:
        chunks = metered_stream(
            came,
            shows_usage=request.shows_usage,
            prompt=prompt,
            counted=answer.counted,
            note=note,
        )
    else:
        is_text = request.endpoint is not Endpoint.EMBEDDINGS
        chunks = metered_whole(came, is_text=is_text, prompt=prompt, note=note)
    return ChatAnswer(answer.content_type, chunks)
