"""Makes an answer in a flight: asks providers for the caller who came first, and keeps what is fit for that."""

import msgspec
from msgspec.structs import replace

from gatewayz.cache.cache import Cache, Keep
from gatewayz.cache.entity import Loaded
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, PriceUnknown, ProviderFailed
from gatewayz.credits.pricing import Tariffs, Used
from gatewayz.inference.metering import usage_of
from gatewayz.inference.service import Call, InferenceService, Served
from gatewayz.responses.answer import CachedAnswer, Origin, kept_form, seen
from gatewayz.responses.flight import Begun, Failed, Flight
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.plan import Plan
from gatewayz.responses.reasons import NotKept, Reason
from gatewayz.responses.repository import CHAT


class Maker:
    """`most_bytes`: of an answer that is kept."""

    def __init__(
        self, inference: InferenceService, cache: Cache, counts: ResponsesCounts, clock: Clock, *, most_bytes: int
    ) -> None:
        self._inference = inference
        self._cache = cache
        self._counts = counts
        self._clock = clock
        self._most_bytes = most_bytes
        self._tariffs = Tariffs()

    async def make(self, flight: Flight, call: Call, plan: Plan) -> None:
        """The flight ends in any case but one: where this is cancelled."""
        flight.is_led = True
        assert plan.key is not None  # noqa: S101  what has none is not made in a flight
        async with self._cache.keeping(CHAT, plan.key) as keep:
            try:
                await self._answer(flight, call, plan, keep)
            except GatewayzError as error:
                flight.fail(Failed(error, is_shared=_is_shared(error)))

    async def _answer(self, flight: Flight, call: Call, plan: Plan, keep: Keep[CachedAnswer]) -> None:
        created = self._clock.now()
        async with self._inference.chat(_telling_all(call)) as served:
            flight.begin(_begun(served, call))
            pieces: list[bytes] | None = []
            size = 0
            async for chunk in served.answer.chunks:
                size += len(chunk)
                if pieces is not None:
                    pieces.append(chunk)
                    if size > 4 * self._most_bytes:
                        pieces = None
                await flight.append(chunk)
        entry, why_not = self._entry(pieces, served.offer, call, plan, created)
        flight.complete(entry, why_not)
        if why_not is not None:
            self._counts.not_kept[why_not] += 1
        if entry is not None and plan.controls.may_store:
            await keep(Loaded(value=entry, ttl=plan.ttl, tags=plan.tags))

    def _entry(
        self, pieces: list[bytes] | None, offer: Offer, call: Call, plan: Plan, created: float
    ) -> tuple[CachedAnswer | None, Reason | None]:
        if pieces is None:
            return None, Reason.TOO_LARGE
        if not _answers_to(offer, call.request.model):
            return None, Reason.OTHER_MODEL
        try:
            answer = seen(b"".join(pieces), is_stream=call.request.is_streaming)
            origin = self._origin(offer, answer.get("usage"))
            entry = kept_form(
                answer, origin, created=created, ttl=plan.ttl, choices=plan.choices, most_bytes=self._most_bytes
            )
        except NotKept as refused:
            return None, refused.reason
        return entry, None

    def _origin(self, offer: Offer, told: object) -> Origin:
        used = usage_of(msgspec.json.encode({"usage": told}))
        if used is None:
            return Origin(model=offer.id, provider=offer.provider, native_id=offer.native_id)
        spent = Used(
            prompt=used.prompt, completion=used.completion, cache_read=used.cached, cache_write=used.cache_write
        )
        return Origin(
            model=offer.id,
            provider=offer.provider,
            native_id=offer.native_id,
            prompt_tokens=used.prompt,
            completion_tokens=used.completion,
            cost=self._tariffs.of(offer.pricing).cost(spent, allow_unknown=True),
        )


def _telling_all(call: Call) -> Call:
    """The same, so that a stream says what it used: its first caller may not want to know, but others may."""
    request = call.request
    if not request.is_streaming or request.shows_usage:
        return call
    return replace(call, request=replace(request, shows_usage=True, body=request.upstream_body()))


def _begun(served: Served, call: Call) -> Begun:
    return Begun(served.offer.provider, served.answer.content_type, call.request.is_streaming, served.admitted)


def _answers_to(offer: Offer, model: str) -> bool:
    """Whether it is the model that was asked for, and not one in its place."""
    return model.lower() in (offer.id, offer.unique_id, offer.native_id.lower())


def _is_shared(error: GatewayzError) -> bool:
    """Whether all who ask the same would be told the same. Limits, credits and prices that one may not pay are of one
    caller only.
    """
    if isinstance(error, PriceUnknown):
        return False
    return isinstance(error, InvalidRequest | ProviderFailed) or error.kind is ErrorKind.PROVIDER_NOT_CONFIGURED
