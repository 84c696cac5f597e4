"""One chat request's life: who offers the model, let in, tried in order, answered, metered, settled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from gatewayz.accounts.model import Principal
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.course import awaited
from gatewayz.health.scores import Scores
from gatewayz.inference.attempts import Attempts, Opened
from gatewayz.inference.estimate import estimate
from gatewayz.inference.metering import metered_stream, metered_whole
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.preferences import NONE, Preferences
from gatewayz.inference.routing import Router, offer_name
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


class Served(Struct, frozen=True):
    """An open answer, the offer that gives it, and how it was let in."""

    answer: ChatAnswer
    offer: Offer
    admitted: Admitted


class InferenceService:
    def __init__(self, router: Router, turnstile: Turnstile, attempts: Attempts, scores: Scores, clock: Clock) -> None:
        self._router = router
        self._turnstile = turnstile
        self._attempts = attempts
        self._scores = scores
        self._clock = clock

    @asynccontextmanager
    async def chat(self, call: Call) -> AsyncIterator[Served]:
        """Open the first answer that an offer of the model gives. Leaving the context ends the upstream request, and
        charges for what was used.

        Raises what Router.route, Turnstile.passed and Attempts.opened raise.
        """
        request = call.request
        bounds = estimate(request, call.body)
        route = await self._router.route(request.model, call.preferences, bounds)
        wanted = Wanted(
            caller=call.caller,
            generation=call.generation,
            model=request.model,
            offers=route,
            estimate=bounds,
            is_streaming=request.is_streaming,
        )
        async with self._turnstile.passed(wanted) as let_in, self._attempts.opened(request, route) as opened:
            began = self._clock.monotonic()
            yield Served(_metered(opened, let_in, wanted, request), opened.offer, let_in.admitted)
            seconds = self._clock.monotonic() - began
            self._scores.ended(offer_name(opened.offer), let_in.usage.completion, seconds)


def _metered(opened: Opened, let_in: Pass, wanted: Wanted, request: ChatRequest) -> ChatAnswer:
    """The same answer, which notes what it used in the pass while it is read."""
    answer, offer = opened.answer, opened.offer
    came = awaited(answer.chunks, is_stream=request.is_streaming)
    prompt = wanted.estimate.likely_prompt
    if request.is_streaming:
        chunks = metered_stream(
            came,
            shows_usage=request.shows_usage,
            prompt=prompt,
            counted=answer.counted,
            note=lambda used: let_in.served(offer, used),
        )
    else:
        is_text = request.endpoint is not Endpoint.EMBEDDINGS
        chunks = metered_whole(came, is_text=is_text, prompt=prompt, note=lambda used: let_in.served(offer, used))
    return ChatAnswer(answer.content_type, chunks)
