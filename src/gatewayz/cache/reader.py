"""What happens when memory has no answer: the shared tier is asked, or another worker waited for, or it is loaded."""

import asyncio
import contextvars
import functools
import random
import secrets
from collections.abc import Coroutine, Sequence
from enum import Enum
from itertools import count
from typing import Any, TypeVar

from gatewayz.cache.changing import Changing
from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import unpacked_length
from gatewayz.cache.entity import BatchLoader, Loaded, written
from gatewayz.cache.errors import CacheError
from gatewayz.cache.flight import (
    FORCE,
    HIT_L1,
    HIT_L2,
    NEGATIVE,
    NEGATIVE_L2,
    READ,
    REFRESH,
    Answer,
    Flight,
    Purpose,
    Served,
)
from gatewayz.cache.landing import Landing
from gatewayz.cache.loads import Loads, Pending
from gatewayz.cache.memory import NEVER, Entry, Memory, Shelf, Trust
from gatewayz.cache.reading import ANY, Later, Question, Reading
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.replies import TOKEN_BYTES
from gatewayz.cache.s3fifo import MOST_HITS
from gatewayz.cache.scope import Scopes, hold
from gatewayz.cache.sources import Sources

V = TypeVar("V")

REFRESH_AGAIN = 1.0
READ_AGAIN = 3
JITTER = 0.1
_COUNT_BYTES = 8


class Verdict(Enum):
    """What to do where no answer is at hand."""

    LOAD = "load"
    WAIT = "wait"
    ASK_AGAIN = "ask again"


class Reader:
    """Starts flights and brings them home. Every flight is settled, whatever happens to its task."""

    def __init__(  # noqa: PLR0917  the parts, as the cache has them
        self,
        sources: Sources,
        memory: Memory,
        scopes: Scopes,
        trust: Trust,
        changing: Changing,
        tier: RedisTier | None,
        clock: Clock,
        rng: random.Random,
        enabled: bool,  # noqa: FBT001  a part like the others
    ) -> None:
        self._landing = Landing(memory, trust, clock, rng, is_checked=tier is not None, enabled=enabled)
        self._loads = Loads(sources, self._landing, scopes, trust, tier, clock, rng, enabled, self._fly)
        self._trust = trust
        self._changing = changing
        self._tier = tier
        self._monotonic = clock.monotonic
        self._now = clock.now
        self._rng = rng
        self._enabled = enabled
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Flight[Any], asyncio.TimerHandle] = {}
        self._is_closed = False
        self._told = self._one_arrived
        self._me = secrets.token_bytes(TOKEN_BYTES - _COUNT_BYTES)
        self._counter = count()

    def start(
        self,
        shelf: Shelf[V],
        keys: Sequence[tuple[object, str]],
        purpose: Purpose,
        *,
        seen: bytes = b"",
        brought: BatchLoader[Any, V] | None = None,
    ) -> list[Flight[V]]:
        """One flight per (key, text), all under way together: without a task as far as Redis has the answer. A flight
        that stood there no longer fills memory. `seen`: the stamp of the value that a REFRESH is to replace. `brought`:
        what loads. Raises BadKey before any has begun.
        """
        flights = [self._flight(shelf, key, text, purpose) for key, text in keys]
        for flight in flights:
            flight.seen = seen
            flight.brought = brought
            if former := shelf.flights.get(flight.text):
                former.alive = False
                former.rouse()
            shelf.flights[flight.text] = flight
        self._begin(shelf, flights)
        return flights

    def read(self, shelf: Shelf[V], key: object, text: str) -> Flight[V]:
        """As `start`, for one key that is read and has no flight: as nearly all are, and so with less ado."""
        if not text.isascii():
            written(text)
        token = self._me + next(self._counter).to_bytes(_COUNT_BYTES)
        flight = shelf.flights[text] = Flight(shelf.entity, key, text, READ, self._trust.epoch, token)
        if self._tier is None or self._trust.unsent or self._changing.now:
            self._begin(shelf, [flight])
        else:
            entry = shelf.entries.get(text)
            stamp = b"" if entry is None else _stamp_of(entry)
            self._tier.quick.ask_one(shelf, flight, stamp, self._told)
        return flight

    async def fence(self, shelf: Shelf[V], key: object, text: str) -> Pending[V]:
        """What a fill needs that may come much later: what the tiers know now of all that may invalidate it. Its flight
        stands apart, and is to be taken from there.
        """
        flight = self._flight(shelf, key, text, FORCE)
        shelf.kept_apart.add(flight)
        try:
            (reading,) = await self._read(shelf, [flight])
        except BaseException:
            shelf.kept_apart.discard(flight)
            raise
        return Pending(flight, reading)

    async def fill(self, shelf: Shelf[V], pending: Pending[V], loaded: Loaded[V], created: float, cost: float) -> bool:
        return await self._loads.fill(shelf, pending, loaded, created, cost)

    def _flight(self, shelf: Shelf[V], key: object, text: str, purpose: Purpose) -> Flight[V]:
        token = self._me + next(self._counter).to_bytes(_COUNT_BYTES)
        text = text if text.isascii() else written(text)
        return Flight(shelf.entity, key, text, purpose, self._trust.epoch, token)

    def _begin(self, shelf: Shelf[V], flights: Sequence[Flight[V]]) -> None:
        if self._tier is None or self._trust.unsent.concerns(shelf.entity):
            self._launch(shelf, flights, self._go_on(shelf, flights, [None] * len(flights)))
        elif self._are_changing(flights):
            self._launch(shelf, flights, self._begin_once_settled(shelf, flights))
        else:
            for flight in flights:
                flight.keeper = None
            told = functools.partial(self._arrived, shelf, flights)
            self._tier.quick.ask(shelf, [self._question(shelf, flight) for flight in flights], told)

    async def _begin_once_settled(self, shelf: Shelf[V], flights: Sequence[Flight[V]]) -> None:
        if await self._is_settled(flights):
            self._begin(shelf, flights)
        else:
            await self._go_on(shelf, flights, [None] * len(flights))

    def _question(self, shelf: Shelf[V], flight: Flight[V]) -> Question:
        entry = shelf.entries.get(flight.text)
        stamp = b"" if entry is None else _stamp_of(entry)
        if flight.purpose is READ:
            return Question(flight.text, stamp, flight.seen, flight.token, flight.awaited)
        if flight.purpose is REFRESH:
            return Question(flight.text, dead=flight.seen)
        if flight.purpose is FORCE:
            return Question(flight.text, dead=ANY)
        return Question(flight.text, stamp)

    def _one_arrived(self, shelf: Shelf[V], flight: Flight[V], reading: Reading[V] | Later | None) -> None:
        """Inside the parser: what goes into memory now is older than any change that we shall be told of. A value that
        is alive and fresh, as nearly each is, answers here, as it would after all that `_step` asks.
        """
        if (
            type(reading) is Reading
            and (envelope := reading.envelope) is not None
            and flight.changed <= reading.order
            and (now := self._now()) < envelope.life.fresh_until
            and not self._is_closed
        ):
            value, encoded = reading.value, unpacked_length(envelope.payload, envelope.zipped)
            self._landing.remember(shelf, flight, value, envelope.life, encoded, reading)
            self._landing.settle(shelf, flight, Answer(value, NEGATIVE_L2 if value is None else HIT_L2))
            if value is not None and flight.purpose is not REFRESH:
                shelf.l2_ages.observe(max(0.0, now - envelope.life.created))
        elif (verdict := self._step(shelf, flight, reading)) is not None:
            self._follow(shelf, [(flight, reading, verdict)])

    def _arrived(
        self,
        shelf: Shelf[V],
        asked: Sequence[Flight[V]],
        indices: Sequence[int],
        readings: Sequence[Reading[V] | Later | None],
    ) -> None:
        """As for one, and those that must be loaded are loaded together."""
        unsettled = []
        for index, reading in zip(indices, readings, strict=True):
            if (verdict := self._step(shelf, asked[index], reading)) is not None:
                unsettled.append((asked[index], reading, verdict))
        if unsettled:
            self._follow(shelf, unsettled)

    def _follow(
        self, shelf: Shelf[V], unsettled: Sequence[tuple[Flight[V], Reading[V] | Later | None, Verdict]]
    ) -> None:
        later = [flight for flight, _, verdict in unsettled if verdict is Verdict.ASK_AGAIN]
        pending = [
            Pending(flight, reading)
            for flight, reading, verdict in unsettled
            if verdict is Verdict.LOAD and not isinstance(reading, Later)
        ]
        if later:
            self._launch(shelf, later, self._fly(shelf, later))
        if pending:
            self._launch(shelf, [each.flight for each in pending], self._loads.load(shelf, pending))

    def _step(self, shelf: Shelf[V], flight: Flight[V], reading: Reading[V] | Later | None) -> Verdict | None:
        """Settle the flight by what Redis says, or by its silence, if that can be done now; else what to do."""
        if self._is_closed:
            self._landing.settle(shelf, flight, Answer(error=CacheError("the cache was closed while it read")))
            return None
        if isinstance(reading, Later) or (flight.changed and _is_overtaken(flight, reading)):
            return Verdict.ASK_AGAIN
        answer = self._at_hand(shelf, flight, reading)
        if answer is None:
            outcome = self._without(shelf, flight, reading)
            if isinstance(outcome, Verdict):
                return outcome
            answer = outcome
        self._landing.settle(shelf, flight, answer)
        return None

    def _without(self, shelf: Shelf[V], flight: Flight[V], reading: Reading[V] | None) -> "Answer[V] | Verdict":
        """What to do where no value is at hand."""
        if flight.purpose is Purpose.LOOK:
            if reading is not None and (entry := shelf.entries.get(flight.text)) is not None:
                entry.epoch = NEVER  # Redis has something else, or nothing
            return Answer(again=True)
        if self._tier is None or reading is None or flight.purpose is FORCE:
            return Verdict.LOAD
        if reading.has_value:
            flight.seen = reading.stamp  # which is no good: have the lease on the load of another
            return Verdict.ASK_AGAIN
        if reading.failed:
            return Answer(error=CacheError(f"the load in another worker failed with {reading.failed}"))
        shelf.counts.leases_granted += bool(reading.lease)
        if not reading.busy or flight.purpose is not READ:
            return Verdict.LOAD
        return Verdict.WAIT if self._leaves_it(self._tier, shelf, flight, reading) else Verdict.LOAD

    def _leaves_it(self, tier: RedisTier, shelf: Shelf[V], flight: Flight[V], reading: Reading[V]) -> bool:
        """Wait while another worker loads, until Redis tells of a change or that worker's time is over. A flight waits
        twice a lease in all, then it loads itself.
        """
        loop = asyncio.get_running_loop()
        if flight.waits_until is None:
            flight.waits_until = loop.time() + 2 * tier.lease
        if loop.time() >= flight.waits_until:
            return False
        flight.wake = functools.partial(self._look_for_fill, shelf, flight)
        flight.keeper = None
        flight.awaited = reading.holder
        shelf.counts.leases_awaited += 1
        self._waiting[flight] = loop.call_later(reading.busy * self._rng.uniform(1, 1 + JITTER), flight.rouse)
        if flight.changed > reading.order or shelf.flights.get(flight.text) is not flight:
            flight.rouse()  # what it would wait for has come already, or would not be told to it
        return True

    def _look_for_fill(self, shelf: Shelf[V], flight: Flight[V]) -> None:
        """Begin anew: what died since does not count against it."""
        if (timer := self._waiting.pop(flight, None)) is None:
            return
        timer.cancel()
        if shelf.flights.setdefault(flight.text, flight) is not flight:
            flight.settle(Answer(again=True))
            return
        flight.alive = True
        flight.apart = False
        flight.epoch = self._trust.epoch
        self._begin(shelf, [flight])

    def _launch(self, shelf: Shelf[V], flights: Sequence[Flight[V]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        for flight in flights:
            flight.keeper = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._landed, shelf, flights))

    def refresh_behind(self, shelf: Shelf[Any], key: object, text: str, seen: bytes) -> Flight[Any] | None:
        """Load anew in the background what has the stamp `seen`, unless that is under way or was tried a moment ago, or
        nobody can.
        """
        now = self._monotonic()
        entry = shelf.entries.get(text)
        if shelf.entity.is_given or text in shelf.flights or (entry is not None and now < entry.retry_at):
            return None
        if entry is not None:
            entry.retry_at = now + REFRESH_AGAIN
        shelf.counts.refreshes += 1
        return self.start(shelf, [(key, text)], Purpose.REFRESH, seen=seen)[0]

    def look_again(self, shelf: Shelf[Any], key: object, text: str) -> None:
        """Read from Redis in the background what may have been replaced there, unless a flight is under way."""
        if text not in shelf.flights:
            self.start(shelf, [(key, text)], Purpose.LOOK)

    async def close(self) -> None:
        self._is_closed = True
        for flight, timer in self._waiting.items():
            timer.cancel()
            flight.settle(Answer(error=CacheError("the cache was closed while another worker loaded")))
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _fly(self, shelf: Shelf[V], flights: Sequence[Flight[V]], again: int = READ_AGAIN) -> None:
        await self._go_on(shelf, flights, await self._read(shelf, flights), again)

    async def _go_on(
        self,
        shelf: Shelf[V],
        flights: Sequence[Flight[V]],
        readings: Sequence[Reading[V] | None],
        again: int = READ_AGAIN,
    ) -> None:
        """`again`: how often a value that is no good may send us back for the lease on a load."""
        pending, useless = [], []
        for flight, reading in zip(flights, readings, strict=True):
            verdict = self._step(shelf, flight, reading)
            if verdict is Verdict.ASK_AGAIN and again:
                useless.append(flight)
            elif verdict is not None and verdict is not Verdict.WAIT:
                pending.append(Pending(flight, reading))
        if useless:
            self._launch(shelf, useless, self._fly(shelf, useless, again - 1))
        if pending:
            await self._loads.load(shelf, pending)

    async def _read(self, shelf: Shelf[V], flights: Sequence[Flight[V]]) -> Sequence[Reading[V] | None]:
        """What Redis says now: a reading that a change has overtaken before we woke is read again, as others may have
        joined its flight since; what changes all the time is as good as not there.
        """
        readings: list[Reading[V] | None] = [None] * len(flights)
        if self._tier is None or not await self._is_settled(flights):
            return readings
        late = list(range(len(flights)))
        for _ in range(READ_AGAIN):
            if self._trust.unsent.concerns(shelf.entity):
                return [None] * len(flights)
            questions = [self._question(shelf, flights[n]) for n in late]
            for n, reading in zip(late, await self._tier.read(shelf, questions), strict=True):
                readings[n] = reading
            late = [n for n in late if _is_overtaken(flights[n], readings[n])]
            if not late:
                return readings
        for n in late:
            readings[n] = None
        return readings

    def _are_changing(self, flights: Sequence[Flight[V]]) -> bool:
        changing = self._changing
        return bool(changing.now) and changing.concerns(flights[0].entity.name, [flight.text for flight in flights])

    async def _is_settled(self, flights: Sequence[Flight[V]]) -> bool:
        """Whether Redis has been told of all that is known to have changed; waits for it, if need be."""
        if not self._are_changing(flights):
            return True
        for flight in flights:
            flight.is_held = True
        try:
            return await self._changing.settled(flights[0].entity.name, [flight.text for flight in flights])
        finally:
            for flight in flights:
                flight.is_held = False

    def _at_hand(self, shelf: Shelf[V], flight: Flight[V], reading: Reading[V] | None) -> Answer[V] | None:
        """The answer that needs no load, if there is one. Where Redis answered and does not know the value that memory
        has, there is none: it may have died unheard.
        """
        if flight.purpose is FORCE or not self._enabled:
            return None
        if reading is None:
            entry = shelf.entries.get(flight.text)
        elif (envelope := reading.envelope) is not None:
            encoded = unpacked_length(envelope.payload, envelope.zipped)
            entry = self._landing.keep(shelf, flight, reading.value, envelope.life, encoded, reading)
        else:
            entry = self._confirmed(shelf, flight, reading)
        if entry is None or (entry.tags and not hold(entry.tags)):
            return None
        return self._usable(shelf, flight, entry, is_confirmed=reading is not None)

    def _confirmed(self, shelf: Shelf[V], flight: Flight[V], reading: Reading[V]) -> Entry[V] | None:
        """What memory has, if Redis has it still."""
        entry = shelf.entries.get(flight.text)
        if entry is None or not _confirms(reading, entry):
            return None
        if flight.alive and not flight.apart:  # else nobody told it what has changed since
            entry.epoch = flight.epoch
        entry.hits = min(MOST_HITS, entry.hits + 1)
        self._landing.lay_out(shelf, entry)
        return entry

    def _usable(
        self, shelf: Shelf[V], flight: Flight[V], entry: Entry[V], *, is_confirmed: bool
    ) -> Answer[V] | None:  # fmt: skip
        """`is_confirmed`: Redis has just said so, and the entry was laid out."""
        flight.seen = entry.stamp
        now = self._monotonic()
        is_refresh = flight.purpose is REFRESH
        is_trusted = is_confirmed or entry.epoch == self._trust.epoch
        if is_trusted and now < entry.fresh_until and not (is_refresh and now >= entry.refresh_at):
            if is_confirmed:
                return self._from_redis(shelf, flight, entry, HIT_L2)
            entry.check_at = min(entry.fresh_until, now + shelf.policy.l1_max)
            return Answer(entry.value, NEGATIVE if entry.value is None else HIT_L1)
        is_throttled = not is_confirmed and now < entry.retry_at
        if not is_refresh and (is_trusted or is_throttled) and self._landing.may_be_stale(shelf, entry):
            if is_confirmed:
                return self._from_redis(shelf, flight, entry, Served.STALE_L2)
            return Answer(entry.value, Served.STALE)
        return None

    def _from_redis(self, shelf: Shelf[V], flight: Flight[V], entry: Entry[V], served: Served) -> Answer[V]:
        if entry.value is None:
            return Answer(None, NEGATIVE_L2)
        if flight.purpose is not REFRESH:
            shelf.l2_ages.observe(max(0.0, self._now() - entry.life.created))
        return Answer(entry.value, served)

    def _landed(self, shelf: Shelf[Any], flights: Sequence[Flight[Any]], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            task.get_loop().call_exception_handler({"message": "the cache itself failed", "exception": error})
        ended = error or CacheError("the cache was closed while it loaded")
        for flight in flights:
            if flight.keeper is task:
                self._landing.settle(shelf, flight, Answer(error=ended))


def _stamp_of(entry: Entry[Any]) -> bytes:
    """Of the value at hand, if it need not be sent again."""
    return entry.stamp if not entry.tags or hold(entry.tags) else b""


def _confirms(reading: Reading[V], entry: Entry[V]) -> bool:
    """Whether Redis has the entry's value still, and it is not too old: who was away may have missed that all older
    ones died, which changes no stamp.
    """
    return reading.same and entry.stamp == reading.stamp and entry.life.created >= reading.whole.cutoff


def _is_overtaken(flight: Flight[Any], reading: Reading[Any] | Later | None) -> bool:
    """Whether the value may have died between the reply and now; a load is checked when it fills."""
    if not isinstance(reading, Reading) or flight.changed <= reading.order:
        return False
    return reading.has_value
