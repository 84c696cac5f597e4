"""Makes an answer in a flight: asks providers for the caller who came first, and keeps what is fit for that."""

from collections.abc import AsyncIterator

from msgspec.structs import replace

from gatewayz.cache.cache import Cache, Keep
from gatewayz.cache.entity import Loaded
from gatewayz.catalog.model import Offer
from gatewayz.core.clock import Clock
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, PriceUnknown, ProviderFailed
from gatewayz.credits.pricing import Tariffs
from gatewayz.inference.metering import usage_told
from gatewayz.inference.service import Call, InferenceService, Served
from gatewayz.responses.answer import CachedAnswer, Origin, kept_form, seen
from gatewayz.responses.fleet import Fleet, Following, Lead
from gatewayz.responses.flight import Begun, Failed, Flight, Lost, TooLongToFollow
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.plan import Plan, Use, use_of
from gatewayz.responses.reasons import NotKept, Reason
from gatewayz.responses.records import Began, Broke, Chunk, Ended, Record, broke
from gatewayz.responses.repository import CHAT


class Maker:
    """`fleet`: the other workers, None where there is no Redis. `most_bytes`: of an answer that is kept."""

    def __init__(
        self,
        inference: InferenceService,
        cache: Cache,
        fleet: Fleet | None,
        counts: ResponsesCounts,
        clock: Clock,
        *,
        most_bytes: int,
    ) -> None:
        self._fleet = fleet
        self._inference = inference
        self._cache = cache
        self._counts = counts
        self._clock = clock
        self._most_bytes = most_bytes
        self._tariffs = Tariffs()

    async def make(self, flight: Flight, call: Call, plan: Plan) -> None:
        """The flight ends in any case but one: where this is cancelled."""
        assert plan.key is not None  # noqa: S101  what has none is not made in a flight
        claim = await self._claim(plan.key) if plan.is_shared else None
        if self._fleet is not None and isinstance(claim, Following):
            await self._follow(flight, self._fleet.follow(claim), plan)
            return
        lead = claim if isinstance(claim, Lead) else None
        is_kept = False
        try:
            late = await self._kept_meanwhile(plan) if lead is not None and lead.is_late else None
            if late is not None:
                flight.begin(Begun(late.origin.provider, "application/json", is_stream=False))
                flight.complete(late)
                is_kept = True
            else:
                is_kept = await self._make(flight, call, plan, lead)
        finally:
            if lead is not None:
                lead.release(is_kept=is_kept)

    async def _kept_meanwhile(self, plan: Plan) -> CachedAnswer | None:
        """What another worker has kept since it was looked up."""
        found = await self._cache.find(CHAT, plan.key or "")
        is_fresh = found is not None and use_of(found.value, plan.controls, self._clock.now()) is Use.FRESH
        return found.value if found is not None and is_fresh else None

    async def _claim(self, key: str) -> Lead | Following | None:
        if self._fleet is None:
            return None
        claim = await self._fleet.claim(key)
        if claim is None:
            self._counts.alone["redis-away"] += 1
        return claim

    async def _make(self, flight: Flight, call: Call, plan: Plan, lead: Lead | None) -> bool:
        """Whether the answer was kept."""
        flight.is_led = True
        if lead is not None:
            flight.is_followed = lead.is_followed
        async with self._cache.keeping(CHAT, plan.key or "") as keep:
            try:
                return await self._answer(flight, call, plan, lead, keep)
            except GatewayzError as error:
                failed = Failed(error, is_shared=_is_shared(error))
                flight.fail(failed)
                if lead is not None:
                    lead.write(broke(failed))
        return False

    async def _answer(
        self, flight: Flight, call: Call, plan: Plan, lead: Lead | None, keep: Keep[CachedAnswer]
    ) -> bool:
        created = self._clock.now()
        async with self._inference.chat(_telling_all(call)) as served:
            begun = _begun(served, call)
            flight.begin(begun)
            if lead is not None:
                lead.write(Began(begun.provider, begun.content_type, begun.is_stream))
            seen_so_far = _Bounded(4 * self._most_bytes)
            async for chunk in served.answer.chunks:
                seen_so_far.add(chunk)
                if lead is not None:
                    lead.write(Chunk(chunk))
                await flight.append(chunk)
        entry, why_not = self._entry(seen_so_far.whole(), served.offer, call, plan, created)
        flight.complete(entry, why_not)
        if lead is not None:
            lead.write(Ended(entry.origin if entry is not None else None, created, why_not))
        if why_not is not None:
            self._counts.not_kept[why_not] += 1
        if entry is None or not plan.controls.may_store:
            return False
        return await keep(Loaded(value=entry, ttl=plan.ttl, tags=plan.tags))

    async def _follow(self, flight: Flight, records: AsyncIterator[Record], plan: Plan) -> None:
        """What another worker makes, for all who want it here."""
        try:
            async for record in records:
                if isinstance(record, Began):
                    flight.begin(Begun(record.provider, record.content_type, record.is_stream))
                elif isinstance(record, Chunk):
                    await flight.append(record.data)
                elif isinstance(record, Ended):
                    entry = self._followed_entry(flight, record, plan) if record.origin is not None else None
                    flight.complete(entry, record.why_not)
                    return
                else:
                    flight.fail(record.failed() if isinstance(record, Broke) else TooLongToFollow())
                    return
        except Lost:
            self._counts.takeovers += 1
            flight.fail(Lost())

    def _followed_entry(self, flight: Flight, ended: Ended, plan: Plan) -> CachedAnswer | None:
        """As its maker has it. It was fit to be kept there, so it is here."""
        assert flight.begun is not None  # noqa: S101  it has ended
        assert ended.origin is not None  # noqa: S101  as the caller has seen
        answer = seen(flight.all_bytes(), is_stream=flight.begun.is_stream)
        return kept_form(
            answer,
            ended.origin,
            created=ended.created,
            ttl=plan.ttl,
            choices=plan.choices,
            most_bytes=self._most_bytes,
        )

    def _entry(
        self, body: bytes | None, offer: Offer, call: Call, plan: Plan, created: float
    ) -> tuple[CachedAnswer | None, Reason | None]:
        if body is None:
            return None, Reason.TOO_LARGE
        if not _answers_to(offer, call.request.model):
            return None, Reason.OTHER_MODEL
        try:
            answer = seen(body, is_stream=call.request.is_streaming)
            origin = self._origin(offer, answer.get("usage"), self._clock.now() - created)
            entry = kept_form(
                answer, origin, created=created, ttl=plan.ttl, choices=plan.choices, most_bytes=self._most_bytes
            )
        except NotKept as refused:
            return None, refused.reason
        return entry, None

    def _origin(self, offer: Offer, told: object, seconds: float) -> Origin:
        used = usage_told(told)
        if used is None:
            return Origin(model=offer.id, provider=offer.provider, native_id=offer.native_id, seconds=seconds)
        return Origin(
            model=offer.id,
            provider=offer.provider,
            native_id=offer.native_id,
            prompt_tokens=used.prompt,
            completion_tokens=used.completion,
            cost=self._tariffs.of(offer.pricing).cost(used.priced(), allow_unknown=True),
            seconds=seconds,
        )


class _Bounded:
    """A copy of what passes, as long as it has no more than so many bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= self._most:
            self._pieces.append(chunk)
        else:
            self._pieces.clear()

    def whole(self) -> bytes | None:
        """None: it was more."""
        return b"".join(self._pieces) if self._size <= self._most else None


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
