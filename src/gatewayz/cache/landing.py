"""How a flight ends: what of its result enters memory, and who is told."""

import math
import random
from typing import TypeVar

from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import Life
from gatewayz.cache.flight import Answer, Flight
from gatewayz.cache.memory import Entry, Memory, Shelf, Trust
from gatewayz.cache.reading import Filled, Reading
from gatewayz.cache.scope import hold

V = TypeVar("V")

BETA = 2.0
LONG_ODDS = 20 * BETA
"""The chance to begin earlier than so many costs ahead is one in 500 million, and not drawn."""


class Landing:
    """`is_checked`: there is a Redis that entries are checked against from time to time."""

    def __init__(
        self, memory: Memory, trust: Trust, clock: Clock, rng: random.Random, *, is_checked: bool, enabled: bool
    ) -> None:
        self._memory = memory
        self._trust = trust
        self._monotonic = clock.monotonic
        self._now = clock.now
        self._rng = rng
        self._is_checked = is_checked
        self._enabled = enabled

    def may_be_stale(self, shelf: Shelf[V], entry: Entry[V]) -> bool:
        """Whether the entry may be served though it is not fresh."""
        kept = shelf.policy.stale > 0 and entry.value is not None and hold(entry.tags)
        return kept and self._monotonic() < entry.stale_until

    def keep(  # noqa: PLR0917  called for each read, and words cost more
        self, shelf: Shelf[V], flight: Flight[V], value: V | None, life: Life, encoded: int, told: Reading[V] | Filled
    ) -> Entry[V]:
        """An entry, which enters memory only if no invalidation came, or could have come unheard, since the start, and
        Redis told of no change after it was `told`. `encoded`: bytes of the value's encoding.
        """
        size = shelf.scale.weight(flight.text, value, encoded)
        entry = self._made(shelf, flight, value, life, size, told)
        if self._is_taken(shelf, flight, size, told):
            self._memory.put(shelf, flight.text, entry)
        return entry

    def remember(  # noqa: PLR0917  likewise
        self, shelf: Shelf[V], flight: Flight[V], value: V | None, life: Life, encoded: int, told: Reading[V] | Filled
    ) -> None:
        """As `keep`, without an entry of what does not enter memory."""
        size = shelf.scale.weight(flight.text, value, encoded)
        if self._is_taken(shelf, flight, size, told):
            self._memory.put(shelf, flight.text, self._made(shelf, flight, value, life, size, told))

    def _made(  # noqa: PLR0917  likewise
        self, shelf: Shelf[V], flight: Flight[V], value: V | None, life: Life, size: int, told: Reading[V] | Filled
    ) -> Entry[V]:
        entry = Entry(flight.key, value, life, told.stamp or b"", size, flight.epoch, told.tags)
        self.lay_out(shelf, entry)
        return entry

    def _is_taken(self, shelf: Shelf[V], flight: Flight[V], size: int, told: Reading[V] | Filled) -> bool:
        epoch, trust, tags = flight.epoch, self._trust, told.tags
        is_current = flight.alive and not flight.apart and epoch == trust.epoch and flight.changed <= told.order
        may_enter = is_current and self._enabled and (trust.live or shelf.policy.stale > 0)
        return may_enter and (not tags or hold(tags)) and self._memory.admits(shelf, flight.text, size)

    def lay_out(self, shelf: Shelf[V], entry: Entry[V]) -> None:
        """Say until when which use of the entry is right: its life, told in Unix seconds, on the monotonic clock.

        It is refreshed ahead by chance, the earlier the longer its load takes: Vattani, Chierichetti and Lowenstein,
        "Optimal probabilistic cache stampede prevention", VLDB 2015, with the chance drawn once for each worker and not
        at each read.
        """
        life = entry.life
        now = self._monotonic()
        shift = now - self._now()
        entry.fresh_until = fresh_until = life.fresh_until + shift
        entry.stale_until = life.stale_until + shift
        entry.refresh_at = refresh_at = life.refresh_at + shift
        check_at = now + shelf.policy.l1_max
        entry.check_at = check_at if self._is_checked and check_at < fresh_until else fresh_until
        if life.cost * LONG_ODDS > fresh_until - refresh_at and refresh_at < math.inf:
            entry.refresh_at = min(refresh_at, fresh_until + BETA * life.cost * math.log(1 - self._rng.random()))

    def settle(self, shelf: Shelf[V], flight: Flight[V], answer: Answer[V]) -> None:
        flights, text = shelf.flights, flight.text
        if flights.get(text) is flight:
            del flights[text]
        flight.settle(answer)

    def leave(self, shelf: Shelf[V], flight: Flight[V]) -> None:
        if shelf.flights.get(flight.text) is flight:
            del shelf.flights[flight.text]
