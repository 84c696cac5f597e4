"""What the tiers hold, told without loading anything."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from gatewayz.cache.clock import Clock
from gatewayz.cache.entity import K
from gatewayz.cache.flight import HIT_L1, Flight, Purpose, Served
from gatewayz.cache.memory import Shelf, Trust
from gatewayz.cache.reader import Reader
from gatewayz.cache.s3fifo import MOST_HITS
from gatewayz.cache.scope import hold

V = TypeVar("V")


class Found(Struct, Generic[V], frozen=True):
    """A value that the tiers hold. `served`: HIT_L1 or HIT_L2; STALE or STALE_L2 for one that is no longer fresh."""

    value: V
    served: Served


class Lookups:
    def __init__(self, reader: Reader, trust: Trust, clock: Clock) -> None:
        self._reader = reader
        self._trust = trust
        self._monotonic = clock.monotonic
        self._now = clock.now

    async def find(self, shelf: Shelf[V], key: object) -> Found[V] | None:
        """As Cache.find."""
        text = shelf.entity.text(key)
        if (found := self._in_memory(shelf, text)) is not None:
            return found
        flight = shelf.flights.get(text)
        if flight is None or flight.purpose is not Purpose.LOOK:
            (flight,) = self._reader.start(shelf, [(key, text)], Purpose.LOOK)
        answer = await flight.wait()
        if answer.value is None:
            shelf.counts.miss += 1
            return None
        return _found(shelf, answer.value, answer.served)

    async def find_many(self, shelf: Shelf[V], keys: Iterable[K]) -> dict[K, Found[V]]:
        """As Cache.find_many. A load under way stays the one that others join."""
        found: dict[K, Found[V]] = {}
        flights: dict[K, Flight[V]] = {}
        missing: list[tuple[K, str]] = []
        for key in dict.fromkeys(keys):
            text = shelf.entity.text(key)
            if (at_hand := self._in_memory(shelf, text)) is not None:
                found[key] = at_hand
            elif (flight := shelf.flights.get(text)) is None:
                missing.append((key, text))
            elif flight.purpose is Purpose.LOOK:
                flights[key] = flight
        if missing:
            started = self._reader.start(shelf, missing, Purpose.LOOK)
            flights.update((key, flight) for (key, _), flight in zip(missing, started, strict=True))
        for key, flight in flights.items():
            if (answer := await flight.wait()).value is not None:
                found[key] = _found(shelf, answer.value, answer.served)
        return found

    def _in_memory(self, shelf: Shelf[V], text: str) -> Found[V] | None:
        entry = shelf.entries.get(text)
        if entry is None or entry.epoch != self._trust.epoch or entry.value is None:
            return None
        if self._monotonic() >= entry.check_at or not hold(entry.tags):
            return None
        entry.hits = min(MOST_HITS, entry.hits + 1)
        shelf.counts.hit_l1 += 1
        if shelf.counts.hit_l1 > shelf.aged_at:
            shelf.note_age(entry, self._now())
        return Found(entry.value, HIT_L1)


def _found(shelf: Shelf[V], value: V, served: Served) -> Found[V]:
    name = served.value
    setattr(shelf.counts, name, getattr(shelf.counts, name) + 1)
    return Found(value, served)
