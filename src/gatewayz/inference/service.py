"""One chat request's life: who offers the model, let in, tried in order, answered, metered, settled."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from gatewayz.accounts.model import Principal
from gatewayz.catalog.model import Offer
from gatewayz.catalog.service import CatalogService
from gatewayz.core.errors import ErrorKind, GatewayzError, ModelNotFound, ProviderFailed
from gatewayz.inference.estimate import estimate
from gatewayz.inference.metering import metered_stream, metered_whole
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.turnstile import Pass, Turnstile, Wanted
from gatewayz.limits.model import Admitted
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt, ChatDialect


class Call(Struct, frozen=True, kw_only=True):
    """A request and who sends it. `generation`: the id under which it is charged. `body`: as it came."""

    caller: Principal
    generation: str
    request: ChatRequest
    body: bytes


class Served(Struct, frozen=True):
    """An open answer, the offer that gives it, and how it was let in."""

    answer: ChatAnswer
    offer: Offer
    admitted: Admitted


class InferenceService:
    """`providers`: all that speak one of `dialects`, by slug, enabled or not."""

    def __init__(
        self,
        catalog: CatalogService,
        providers: Mapping[str, ConfiguredProvider],
        dialects: Mapping[str, ChatDialect],
        turnstile: Turnstile,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._dialects = dialects
        self._turnstile = turnstile

    @asynccontextmanager
    async def chat(self, call: Call) -> AsyncIterator[Served]:
        """Open the first answer that an offer of the model gives. Leaving the context ends the upstream request, and
        charges for what was used.

        Raises ModelNotFound, InvalidRequest (the caller's fault, never tried elsewhere), what Turnstile.passed raises,
        or ProviderFailed (the last provider's, when all failed).
        """
        request = call.request
        route = await self._route(request.model)
        wanted = Wanted(
            caller=call.caller,
            generation=call.generation,
            model=request.model,
            offers=route,
            estimate=estimate(request, call.body),
            is_streaming=request.is_streaming,
        )
        async with self._turnstile.passed(wanted) as let_in, AsyncExitStack() as stack:
            answer, offer = await self._first_answer(request, route, stack)
            yield Served(_metered(answer, offer, let_in, wanted, request), offer, let_in.admitted)

    async def _first_answer(
        self, request: ChatRequest, route: Sequence[Offer], stack: AsyncExitStack
    ) -> tuple[ChatAnswer, Offer]:  # fmt: skip
        for offer in route[:-1]:
            try:
                return await self._attempt(request, offer, stack), offer
            except ProviderFailed:
                continue
        return await self._attempt(request, route[-1], stack), route[-1]

    async def _attempt(self, request: ChatRequest, offer: Offer, stack: AsyncExitStack) -> ChatAnswer:
        configured = self._providers[offer.provider]
        attempt = ChatAttempt(
            provider=configured.provider,
            api_key=configured.api_key,
            native_id=offer.native_id,
            body=request.upstream_body(),
            is_streaming=request.is_streaming,
            most_output=offer.max_output_tokens,
        )
        dialect = self._dialects[configured.provider.dialect]
        try:
            return await stack.enter_async_context(dialect.chat(attempt))
        except GatewayzError as error:
            if configured.api_key is not None:
                # Some providers quote the key that they refuse; the caller must not read ours.
                error.message = error.message.replace(configured.api_key.get_secret_value(), "***")
            raise

    async def _route(self, model: str) -> Sequence[Offer]:
        """Offers to try, cheapest known price first. Never empty."""
        offers = await self._catalog.find_offers(model)
        if not offers:
            raise ModelNotFound(
                f"the model {model[:200]!r} does not exist; GET /v1/models/search?q=… finds what does", param="model"
            )
        reachable = [offer for offer in offers if self._can_reach(offer)]
        if not reachable:
            raise self._unreachable(model, offers)
        return sorted(
            reachable, key=lambda offer: (offer.pricing.prompt is None, offer.pricing.prompt or 0, offer.provider)
        )

    def _can_reach(self, offer: Offer) -> bool:
        configured = self._providers.get(offer.provider)
        return configured is not None and configured.enabled

    def _unreachable(self, model: str, offers: Sequence[Offer]) -> GatewayzError:
        """Names only what helps: the keys of providers that we could speak to."""
        known = [self._providers[offer.provider].provider for offer in offers if offer.provider in self._providers]
        keys = sorted({name for provider in known for name in provider.key_variables})
        remedy = f"set one of {', '.join(keys)}" if keys else "none of its providers can be asked by this version"
        return GatewayzError(
            f"no provider of {model[:200]!r} is configured; {remedy}",
            kind=ErrorKind.PROVIDER_NOT_CONFIGURED,
            param="model",
        )


def _metered(answer: ChatAnswer, offer: Offer, let_in: Pass, wanted: Wanted, request: ChatRequest) -> ChatAnswer:
    """The same answer, which notes what it used in the pass while it is read."""
    prompt = wanted.estimate.likely_prompt
    if request.is_streaming:
        chunks = metered_stream(
            answer.chunks, shows_usage=request.shows_usage, prompt=prompt, note=lambda used: let_in.served(offer, used)
        )
    else:
        chunks = metered_whole(answer.chunks, prompt=prompt, note=lambda used: let_in.served(offer, used))
    return ChatAnswer(answer.content_type, chunks)
