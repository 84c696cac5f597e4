"""One chat request answered from what is kept, from an answer under way, or by a provider, whichever there is first."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.flight import Served as Tier
from gatewayz.core.clock import Clock
from gatewayz.core.course import Course, course, follow
from gatewayz.core.errors import ProviderFailed, Unavailable
from gatewayz.credits.recalls import Recall
from gatewayz.inference.making import Maker
from gatewayz.inference.service import Call, InferenceService, Served, wanting_nothing
from gatewayz.inference.turnstile import Pass, Turnstile
from gatewayz.limits.model import Admitted
from gatewayz.responses import status
from gatewayz.responses.answer import CachedAnswer, Origin
from gatewayz.responses.continuation import continuation
from gatewayz.responses.errors import NotCached
from gatewayz.responses.flight import Begun, Failed, Flight, Lost, TooLongToFollow
from gatewayz.responses.flights import Flights
from gatewayz.responses.metrics import ResponsesCounts
from gatewayz.responses.plan import Plan, Use, use_of
from gatewayz.responses.reasons import Reason
from gatewayz.responses.repository import CHAT
from gatewayz.responses.status import Note

JSON = "application/json"
EVENTS = "text/event-stream"
_TRIES = 8
"""How often another's answer may fail for a reason of that other's own before one is told so."""


class Reply(Struct, frozen=True, kw_only=True):
    """An open answer. `body`: all of it, where it is at hand; else `chunks` come one by one. `admitted`: how the
    request was let in.
    """

    content_type: str
    provider: str
    admitted: Admitted
    note: Note | None = None
    body: bytes | None = None
    chunks: AsyncIterator[bytes] | None = None

    @property
    def is_hit(self) -> bool:
        return self.note is not None and self.note.word == "hit"


def passed_on(served: Served, note: Note | None = None) -> Reply:
    """What a provider answers, as it comes."""
    return Reply(
        content_type=served.answer.content_type,
        provider=served.offer.provider,
        admitted=served.admitted,
        note=note,
        chunks=served.answer.chunks,
    )


def _under_way(begun: Begun, admitted: Admitted, note: Note, answer: bytes | AsyncIterator[bytes]) -> Reply:
    """What a flight brings: all of it, or as it comes."""
    return Reply(
        content_type=begun.content_type,
        provider=begun.provider,
        admitted=admitted,
        note=note,
        body=answer if isinstance(answer, bytes) else None,
        chunks=None if isinstance(answer, bytes) else answer,
    )


def _again(call: Call, entry: CachedAnswer, note: Note, admitted: Admitted, now: float) -> Reply:
    """What is kept, under an id of its own."""
    request, id_ = call.request, f"chatcmpl_{call.generation[4:]}"
    if request.is_streaming:
        content_type, body = EVENTS, entry.as_stream(id_, int(now), shows_usage=request.shows_usage)
    else:
        content_type, body = JSON, entry.as_whole(id_, int(now))
    return Reply(content_type=content_type, provider=entry.origin.provider, admitted=admitted, note=note, body=body)


def count_answer(counts: ResponsesCounts, note: Note, of_request: Course) -> None:
    """How a request was answered: among all, and for what is told of this one."""
    of_request.cache, of_request.tier = note.word, note.detail
    counts.requests[note.word, note.detail] += 1


def recall_of(call: Call, origin: Origin, note: Note, *, is_stream: bool) -> Recall:
    """What is written down where it is given again what `origin` made."""
    caller = call.caller
    return Recall(
        caller.account_id, caller.key_id, origin.model, origin.provider, origin.native_id, note.word, is_stream
    )


class _Kept(Struct, frozen=True):
    entry: CachedAnswer
    tier: str


class _Asked:
    """A request on its way to an answer under way. `let_in`: how, once it was let in as one who follows another.
    `is_alone`: it is to have a flight of its own. `reason`: why it is not answered by what is kept.
    """

    def __init__(self, call: Call, plan: Plan, reason: Reason, stack: AsyncExitStack) -> None:
        self.call = call
        self.plan = plan
        self.key = plan.key or ""
        self.reason = reason
        self.stack = stack
        self.is_alone = not plan.is_shared
        self.let_in: Pass | None = None


class Replies:
    """`wait`: seconds for the first word of another request's answer."""

    def __init__(  # noqa: PLR0917  the parts
        self,
        inference: InferenceService,
        turnstile: Turnstile,
        cache: Cache,
        maker: Maker,
        flights: Flights,
        counts: ResponsesCounts,
        clock: Clock,
        *,
        wait: float,
    ) -> None:
        self._inference = inference
        self._turnstile = turnstile
        self._cache = cache
        self._maker = maker
        self._flights = flights
        self._counts = counts
        self._clock = clock
        self._wait = wait

    def at_hand(self, plan: Plan) -> CachedAnswer | None:
        """The answer in this worker's memory, if it will do."""
        if plan.key is None or not plan.controls.may_read:
            return None
        entry = self._cache.peek(CHAT, plan.key)
        return entry if entry is not None and self._is_fresh(entry, plan) else None

    async def at_once(self, call: Call, entry: CachedAnswer) -> Reply:
        """What is at hand, for who may have it: with nothing to wait for but the limits. Raises RateLimited."""
        wanted = wanting_nothing(call)
        let_in = await self._turnstile.admit(wanted)
        reply = self._recalled(call, entry, status.hit(entry, self._clock.now(), "L1"), let_in)
        self._turnstile.settle(wanted, let_in, 0.0)
        return reply

    def recall(self, call: Call, entry: CachedAnswer, of_request: Course, told: Callable[[Reply | None], None]) -> None:
        """As `at_once`, without a coroutine, and outside the request's context. `told` may be called before this
        returns: with None, and nothing taken, where the limits do not simply let it in.
        """
        now = self._clock.now()

        def asked(admitted: Admitted | None) -> None:
            if admitted is None:
                told(None)
                return
            note = status.hit(entry, now, "L1")
            count_answer(self._counts, note, of_request)
            self._turnstile.recall(admitted, self._recall(call, entry, note, of_request), now)
            told(_again(call, entry, note, admitted, now))

        self._turnstile.hear(call.caller, call.generation, asked)

    @asynccontextmanager
    async def reply(self, call: Call, plan: Plan) -> AsyncIterator[Reply]:
        """Leaving the context ends what is done for this caller alone.

        Raises what InferenceService.chat raises, and NotCached where only what is kept was asked for.
        """
        async with AsyncExitStack() as stack:
            yield await self._reply(call, plan, stack)

    async def _reply(self, call: Call, plan: Plan, stack: AsyncExitStack) -> Reply:
        if plan.key is None:
            return await self._direct(call, plan, stack)
        reason, kept, use = Reason.NO_CACHE, None, Use.NONE
        if plan.controls.may_read:
            reason = Reason.ABSENT
            if (kept := await self._kept(plan.key)) is not None:
                reason = Reason.TOO_OLD
                use = use_of(kept.entry, plan.controls, self._clock.now())
        if kept is not None and use in (Use.FRESH, Use.STALE):
            return await self._hit(call, kept.entry, kept.tier if use is Use.FRESH else "stale", stack)
        if plan.controls.only_if_cached:
            raise NotCached(f"no answer is kept that will do ({reason}), and 'only-if-cached' asks nobody else")
        try:
            return await self._flown(_Asked(call, plan, reason, stack))
        except ProviderFailed:
            if kept is None or use is not Use.IF_ERROR:
                raise
            return await self._hit(call, kept.entry, "stale-if-error", stack)

    async def _kept(self, key: str) -> _Kept | None:
        if (entry := self._cache.peek(CHAT, key)) is not None:
            return _Kept(entry, "L1")
        if (flight := self._flights.of(key)) is not None and flight.is_ended:
            await flight.is_closed.wait()
        found = await self._cache.find(CHAT, key)
        return None if found is None else _Kept(found.value, "L1" if found.served is Tier.HIT_L1 else "L2")

    async def _hit(self, call: Call, entry: CachedAnswer, tier: str, stack: AsyncExitStack) -> Reply:
        note = status.hit(entry, self._clock.now(), tier)
        let_in = await self._let_in_free(call, stack)
        return self._recalled(call, entry, note, let_in)

    def _recalled(self, call: Call, entry: CachedAnswer, note: Note, let_in: Pass) -> Reply:
        of_request = course()
        count_answer(self._counts, note, of_request)
        let_in.recalled(self._recall(call, entry, note, of_request))
        return _again(call, entry, note, let_in.admitted, self._clock.now())

    def _recall(self, call: Call, entry: CachedAnswer, note: Note, of_request: Course) -> Recall:
        """That the answer is given again, as it is to be written down. Counts what that saves."""
        origin = entry.origin
        of_request.recalled(
            origin.provider,
            origin.model,
            saved=origin.cost,
            saved_seconds=origin.seconds,
            age=self._clock.now() - entry.created,
        )
        self._counts.saved_tokens += origin.prompt_tokens + origin.completion_tokens
        return recall_of(call, origin, note, is_stream=call.request.is_streaming)

    async def _let_in_free(self, call: Call, stack: AsyncExitStack) -> Pass:
        return await stack.enter_async_context(self._turnstile.passed(wanting_nothing(call)))

    async def _direct(self, call: Call, plan: Plan, stack: AsyncExitStack) -> Reply:
        """As if there were no cache."""
        assert plan.why_not is not None  # noqa: S101  what has no key has a reason
        if plan.controls.only_if_cached:
            raise NotCached(f"this request is not looked up ({plan.why_not}), and 'only-if-cached' asks nobody else")
        note = status.bypass(plan.why_not)
        served = await stack.enter_async_context(self._inference.chat(call))
        count_answer(self._counts, note, course())
        return passed_on(served, note)

    async def _flown(self, asked: _Asked) -> Reply:
        """From an answer under way: of another request, or one that is begun for this."""
        for _ in range(_TRIES):
            flight = None if asked.is_alone else self._flights.of(asked.key)
            if flight is not None and flight.is_ended:
                await flight.is_closed.wait()
                flight = None
            if flight is None and (entry := self._just_kept(asked)) is not None:
                return await self._hit(asked.call, entry, "L1", asked.stack)
            is_ours = flight is None
            if flight is None:
                make = functools.partial(self._make, course(), call=asked.call, plan=asked.plan)
                flight = self._flights.begin(None if asked.is_alone else asked.key, make)
            place = flight.join()
            asked.stack.callback(flight.leave, place)
            try:
                if (reply := await self._aboard(asked, flight, place, is_ours=is_ours)) is not None:
                    return reply
                asked.is_alone = True
            except (TimeoutError, TooLongToFollow):
                asked.is_alone = True
                self._counts.alone["waited"] += 1
            except Failed as failed:
                if failed.is_shared or (is_ours and flight.is_led):
                    raise failed.error.anew() from failed
            except Lost:
                pass  # who made it has gone: another may, or this one
            flight.leave(place)
        raise Unavailable("the same request of others failed again and again; try again in a moment")

    async def _make(self, told: Course, flight: Flight, call: Call, plan: Plan) -> None:
        """A flight has a context of its own; what becomes of it is told of the request that began it."""
        follow(told)
        await self._maker.make(flight, call, plan)

    def _just_kept(self, asked: _Asked) -> CachedAnswer | None:
        """What came since it was looked up."""
        if asked.is_alone:
            return None
        entry = self._cache.peek(CHAT, asked.key)
        return entry if entry is not None and self._is_fresh(entry, asked.plan) else None

    def _is_fresh(self, entry: CachedAnswer, plan: Plan) -> bool:
        return use_of(entry, plan.controls, self._clock.now()) is Use.FRESH

    async def _aboard(self, asked: _Asked, flight: Flight, place: object, *, is_ours: bool) -> Reply | None:
        """None where the answer cannot be had in the form that was asked for. Raises TimeoutError where another keeps
        us waiting, Failed and Lost.
        """
        if not is_ours:
            asked.let_in = asked.let_in or await self._let_in_free(asked.call, asked.stack)
        begun = await self._begun(flight, is_ours=is_ours)
        if is_ours and flight.is_led:
            return await self._led(asked, flight, place, begun)
        asked.let_in = asked.let_in or await self._let_in_free(asked.call, asked.stack)
        return await self._followed(asked, flight, place, begun, asked.let_in)

    async def _begun(self, flight: Flight, *, is_ours: bool) -> Begun:
        try:
            async with asyncio.timeout(self._wait):
                return await flight.until_begun()
        except TimeoutError:
            if is_ours and flight.is_led:
                return await flight.until_begun()
            raise

    async def _led(self, asked: _Asked, flight: Flight, place: object, begun: Begun) -> Reply:
        """The answer as it came, for who caused it."""
        assert isinstance(begun.admitted, Admitted)  # noqa: S101  as its maker says
        call, plan = asked.call, asked.plan
        fwd = FORWARDED.get(asked.reason, "miss")
        answer: bytes | AsyncIterator[bytes]
        if call.request.is_streaming:
            answer = self._live(asked, flight, place)
            note = status.miss(fwd, asked.reason)
        else:
            answer = await flight.until_complete()
            await self._until_kept(asked, flight)
            why_not = flight.why_not or (None if plan.controls.may_store else Reason.NO_STORE)
            note = status.miss(fwd, asked.reason, is_stored=why_not is None, why_not=why_not)
        count_answer(self._counts, note, course())
        return _under_way(begun, begun.admitted, note, answer)

    async def _followed(
        self, asked: _Asked, flight: Flight, place: object, begun: Begun, let_in: Pass
    ) -> Reply | None:  # fmt: skip
        call, note = asked.call, status.collapsed()
        answer: bytes | AsyncIterator[bytes]
        if call.request.is_streaming and begun.is_stream:
            answer = self._live(asked, flight, place, let_in)
        else:
            answer = await flight.until_complete()
            if flight.entry is not None:
                return self._recalled(call, flight.entry, note, let_in)
            if call.request.is_streaming is not begun.is_stream:
                return None
        count_answer(self._counts, note, course())
        return _under_way(begun, let_in.admitted, note, answer)

    async def _live(
        self, asked: _Asked, flight: Flight, place: object, let_in: Pass | None = None
    ) -> AsyncIterator[bytes]:
        """What comes, as it comes. `let_in`: of who follows another."""
        try:
            async for chunk in flight.read(place, shows_usage=asked.call.request.shows_usage):
                yield chunk
        except Failed as failed:
            raise failed.error.anew() from failed
        except (Lost, TooLongToFollow):
            yield await self._rest(asked, flight.all_bytes())
            return
        await self._until_kept(asked, flight)
        if let_in is not None and flight.entry is not None:
            let_in.recalled(self._recall(asked.call, flight.entry, status.collapsed(), course()))

    async def _until_kept(self, asked: _Asked, flight: Flight) -> None:
        """Who has an answer made anew is not told the former one by his next request. The others are kept from that by
        the flight, which is found until its answer is kept.
        """
        if asked.is_alone:
            await flight.is_closed.wait()

    async def _rest(self, asked: _Asked, sent: bytes) -> bytes:
        """What follows on the events that were sent, out of the same request's answer by somebody else. Raises
        ProviderFailed where that one says something else.
        """
        async with self.reply(asked.call, asked.plan) as reply:
            again = reply.body
            if again is None and reply.chunks is not None:
                again = b"".join([chunk async for chunk in reply.chunks])
        rest = continuation(sent, again or b"")
        if rest is None:
            raise ProviderFailed(
                "the worker that made this answer has gone, and the answer that was made anew goes on in another way; "
                "send the request again"
            )
        return rest


FORWARDED = {Reason.NO_CACHE: "request", Reason.TOO_OLD: "stale"}
"""Why it went on to a provider, as RFC 9211 has it."""
