"""What happens when no tier has an answer: the loader, and the fill of the tiers."""

import asyncio
import math
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import Life, unpacked_length
from gatewayz.cache.entity import Loaded, NotModified, written
from gatewayz.cache.errors import BadKey, CacheError
from gatewayz.cache.flight import Answer, Flight, Purpose, Served
from gatewayz.cache.landing import Landing
from gatewayz.cache.learned_ttl import is_changed
from gatewayz.cache.loading import Outcome
from gatewayz.cache.loading import load as call_loader
from gatewayz.cache.memory import Shelf, Trust
from gatewayz.cache.reading import Fill, Filled, Reading
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.scope import Held, Scopes, kind_of
from gatewayz.cache.sources import Sources

V = TypeVar("V")

AHEAD = 0.8
LONGEST_TAG = 200
FIRST_RETRY = 5.0
LONGEST_RETRY = 60.0
JITTER = 0.1
LONGEST_LIFE = 10 * 365 * 86_400.0  # seconds: Redis keeps nothing for ever, and has room for no more milliseconds
UNTOLD = sys.maxsize  # the order of what was not shared: no change in Redis concerns it


class Pending(Struct, Generic[V], frozen=True, eq=False):
    """A flight that must load. `reading` is None where Redis did not answer; then nothing is filled."""

    flight: Flight[V]
    reading: Reading[V] | None


class _Ready(Struct, Generic[V], frozen=True, eq=False):
    pending: Pending[V]
    value: V | None
    life: Life
    position: int | None
    payload: bytes | None
    zipped: bool


class Loads:
    """`fly_again` gets the flights that an invalidation overtook while they loaded, for their last time."""

    def __init__(  # noqa: PLR0917  the parts, as the reader has them
        self,
        sources: Sources,
        landing: Landing,
        scopes: Scopes,
        trust: Trust,
        tier: RedisTier | None,
        clock: Clock,
        rng: random.Random,
        enabled: bool,  # noqa: FBT001  a part like the others
        fly_again: Callable[[Shelf[Any], Sequence[Flight[Any]]], Awaitable[None]],
    ) -> None:
        self._sources = sources
        self._landing = landing
        self._scopes = scopes
        self._trust = trust
        self._tier = tier
        self._clock = clock
        self._rng = rng
        self._enabled = enabled
        self._fly_again = fly_again

    async def fill(self, shelf: Shelf[V], pending: Pending[V], loaded: Loaded[V], created: float, cost: float) -> bool:
        """Put into the tiers what came up elsewhere since `created`, as if it had been loaded. Whether it was put into
        any. Raises CacheError for what no loader may give.
        """
        checked = _loaded(shelf, Outcome(loaded=loaded), None, self._floor(pending))
        if isinstance(checked, BaseException):
            raise checked
        if not self._enabled or not pending.flight.alive:
            return False
        payload, zipped = await shelf.codec.payload(checked.value)
        life = self._life(shelf, checked, created, cost)
        pending.flight.last = True
        await self._fill(shelf, [_Ready(pending, checked.value, life, checked.position, payload, zipped)])
        return pending.flight.alive

    async def load(self, shelf: Shelf[V], pending: Sequence[Pending[V]]) -> None:
        """Settles the flights, all of one purpose: a refresh only if no other worker is about it."""
        if (
            pending[0].flight.load_many is None and len(pending) > 1
        ):  # each by itself, so that none waits for the slowest
            async with asyncio.TaskGroup() as together:
                for each in pending:
                    together.create_task(self.load(shelf, [each]))
            return
        if self._tier is None or pending[0].flight.purpose is not Purpose.REFRESH:
            await self._load(shelf, pending)
            return
        ours = []
        for each in pending:
            leased = await self._tier.lease_refresh(shelf, each.flight.text, each.flight.token)
            if leased is False:
                self._landing.settle(shelf, each.flight, Answer(again=True))
            else:
                ours.append(each)
        try:
            if ours:
                await self._load(shelf, ours)
        finally:
            for each in ours:
                await self._tier.release_refresh(shelf, each.flight.text, each.flight.token)

    async def _load(self, shelf: Shelf[V], pending: Sequence[Pending[V]]) -> None:
        created, began = self._clock.now(), self._clock.monotonic()
        held = [self._held(shelf, each) for each in pending]
        floors = [self._floor(each) for each in pending]
        shelf.counts.loads += 1
        outcomes = await call_loader(
            self._sources.of(shelf.entity),
            [each.flight for each in pending],
            [each.version if each is not None else None for each in held],
            required=max(floors),
            within=shelf.policy.load_within,
        )
        cost = self._clock.monotonic() - began
        shelf.load_seconds.observe(cost)
        ready, unused = [], []
        for each, outcome, before, floor in zip(pending, outcomes, held, floors, strict=True):
            loaded = _loaded(shelf, outcome, before, floor)
            if isinstance(loaded, Loaded):
                try:
                    payload, zipped = await shelf.codec.payload(loaded.value) if self._enabled else (None, False)
                except CacheError as error:
                    loaded = error
            if isinstance(loaded, Loaded):
                self._learn(shelf, each, before, loaded)
                life = self._life(shelf, loaded, created, cost)
                ready.append(_Ready(each, loaded.value, life, loaded.position, payload, zipped))
            else:
                self._failed(shelf, each, loaded)
                unused.append((each, type(loaded).__name__))  # not what it says: that may be a secret
        began = self._clock.monotonic()
        refused = await self._fill(shelf, ready)
        shelf.population_seconds.observe(self._clock.monotonic() - began)
        unused += [(each.pending, "") for each in ready if not each.pending.flight.alive]
        await self._give_back(shelf, unused)
        for each in pending:
            if waiting := shelf.flights.get(each.flight.text):
                waiting.rouse()  # Redis does not tell us of what we did ourselves
        if refused:
            await self._fly_again(shelf, refused)

    async def _give_back(self, shelf: Shelf[V], unused: Sequence[tuple[Pending[V], str]]) -> None:
        """End the leases on loads that filled nothing, and say why they failed to those who wait in other workers."""
        leases = [
            (each.flight.text, each.reading.lease, why)
            for each, why in unused
            if each.reading is not None and each.reading.lease
        ]
        if self._tier is not None and leases:
            await self._tier.give_back(shelf, leases)

    async def _fill(self, shelf: Shelf[V], ready: Sequence[_Ready[V]]) -> list[Flight[V]]:
        """Fill the tiers and settle. Returns the flights that an invalidation overtook: some who wait for
        them may have come after it, so these must load once more. From here on nobody new joins them.
        """
        refused = []
        for each, filled in zip(ready, await self._share(shelf, ready), strict=True):
            flight = each.pending.flight
            overtaken = flight.changed > filled.order  # and of what came after that change, we were not told
            stamp = b"" if overtaken else filled.stamp
            is_behind = self._is_behind(each, filled)
            if (is_behind or (stamp == b"" and (flight.alive or overtaken))) and not flight.last:
                shelf.counts.refused_fills += 1
                self._landing.leave(shelf, flight)
                flight.apart = flight.last = True
                flight.floor = max(flight.floor, filled.floor, self._trust.floor if is_behind else 0)
                refused.append(flight)
                continue
            flight.alive = flight.alive and stamp != b""
            encoded = unpacked_length(each.payload, each.zipped)
            self._landing.remember(shelf, flight, each.value, each.life, encoded, filled)
            self._landing.settle(shelf, flight, Answer(each.value, Served.MISS if self._enabled else Served.BYPASS))
        return refused

    def _is_behind(self, ready: _Ready[V], filled: Filled) -> bool:
        """Whether the source lagged behind an invalidation of one of the tags, as Redis says or this worker heard."""
        floor = self._trust.floor if filled.stamp is None else filled.floor
        return bool(ready.life.tags) and ready.position is not None and ready.position < floor

    async def _share(self, shelf: Shelf[V], ready: Sequence[_Ready[V]]) -> list[Filled]:
        outcomes = [self._unshared(each) for each in ready]
        fills: dict[int, Fill] = {}
        for index, each in enumerate(ready):
            reading, flight = each.pending.reading, each.pending.flight
            if reading is not None and flight.alive:
                fills[index] = Fill(
                    text=flight.text,
                    reading=reading,
                    life=each.life,
                    position=each.position,
                    payload=each.payload,
                    zipped=each.zipped,
                    over=flight.purpose is Purpose.FORCE,
                )
        if self._tier is not None and fills:
            filled = await self._tier.fill(shelf, list(fills.values()))
            for index, outcome in zip(fills, filled, strict=True):
                is_shared = outcome.stamp is not None
                outcomes[index] = outcome if is_shared else replace(outcomes[index], order=outcome.order)
        return outcomes

    def _unshared(self, ready: _Ready[V]) -> Filled:
        """What holds where Redis is not told. A tag that was invalidated meanwhile has set the flight apart."""
        reading = ready.pending.reading
        tags = tuple(Held(scope, scope.epoch, b"") for scope in map(self._scopes.tag, ready.life.tags))
        return Filled(None, reading.order if reading is not None else UNTOLD, tags)

    def _failed(self, shelf: Shelf[V], pending: Pending[V], error: BaseException) -> None:
        shelf.counts.load_errors += 1
        flight = pending.flight
        entry = shelf.entries.get(flight.text)
        usable = entry is not None and (entry.epoch == self._trust.epoch or pending.reading is None)
        if entry is None or not usable or not self._landing.may_be_stale(shelf, entry):
            self._landing.settle(shelf, flight, Answer(error=error, again=flight.purpose is Purpose.FORCE))
            return
        entry.failures += 1
        entry.retry_at = self._clock.monotonic() + min(LONGEST_RETRY, FIRST_RETRY * 2 ** (entry.failures - 1))
        if flight.purpose is Purpose.FORCE:
            self._landing.settle(shelf, flight, Answer(error=error, again=True))
        else:
            self._landing.settle(shelf, flight, Answer(entry.value, Served.STALE))

    def _held(self, shelf: Shelf[V], pending: Pending[V]) -> Loaded[V] | None:
        """The value that a NOT_MODIFIED would confirm."""
        reading = pending.reading
        if reading is not None and reading.life is not None:
            return Loaded(value=reading.value, version=reading.life.version, tags=reading.life.tags)
        entry = shelf.entries.get(pending.flight.text)
        if entry is not None and entry.epoch == self._trust.epoch:
            return Loaded(value=entry.value, version=entry.life.version, tags=entry.life.tags)
        return None

    def _learn(self, shelf: Shelf[V], pending: Pending[V], before: Loaded[V] | None, loaded: Loaded[V]) -> None:
        """Whether a value that was held had changed at the source, and after how long."""
        life = pending.reading.life if pending.reading is not None else None
        if life is None and (entry := shelf.entries.get(pending.flight.text)) is not None:
            life = entry.life
        if before is not None and before.value is not None and life is not None:
            interval = self._clock.now() - life.created
            shelf.learned.observed(changed=is_changed(before, loaded), interval=interval)

    def _floor(self, pending: Pending[V]) -> int:
        """How far its source must have come."""
        reading = pending.reading
        return max(pending.flight.floor, reading.floor if reading is not None else self._trust.floor)

    def _life(self, shelf: Shelf[V], loaded: Loaded[V], created: float, cost: float) -> Life:
        policy, now = shelf.policy, self._clock.now()
        spread = self._rng.uniform(1 - JITTER, 1 + JITTER)
        if loaded.value is None:
            until = now + min(LONGEST_LIFE, policy.absent) * spread
            return Life(created, math.inf, until, until, loaded.version, loaded.tags, cost)
        fresh = min(LONGEST_LIFE, shelf.learned.fresh if loaded.ttl is None else loaded.ttl) * spread
        ahead = AHEAD if policy.refresh_at is None else policy.refresh_at / policy.fresh
        fresh_until = now + fresh
        return Life(
            created,
            now + ahead * fresh,
            fresh_until,
            fresh_until + min(LONGEST_LIFE, policy.stale),
            loaded.version,
            loaded.tags,
            cost,
        )


def _loaded(  # noqa: PLR0911  one for each thing that may be wrong
    shelf: Shelf[V], outcome: Outcome[V], held: Loaded[V] | None, floor: int
) -> Loaded[V] | BaseException:  # fmt: skip
    """What is to be kept, or the error that stands for it."""
    if outcome.error is not None:
        return outcome.error
    loaded = outcome.loaded
    if loaded is NotModified.NOT_MODIFIED and held is not None:
        return held
    if not isinstance(loaded, Loaded):
        return CacheError(
            "the loader said NOT_MODIFIED though no value is held: it may only where known_version() is set"
        )
    if loaded.position is not None and loaded.position < floor:
        return CacheError(
            f"the loader read a source that has come to {loaded.position}, and an invalidation said {floor}: read one "
            "that has come as far as required_position()"
        )
    if loaded.ttl is not None and math.isnan(loaded.ttl):
        return CacheError("the loader gave no number for ttl: give seconds, or None for the policy's own")
    try:
        written("".join((loaded.version or "", *loaded.tags)))
    except BadKey as error:
        return error
    for tag in loaded.tags:
        if kind_of(tag) not in shelf.entity.tags or len(tag) > LONGEST_TAG:
            return CacheError(
                f"the loader gave the tag {tag!r}: it must be of at most {LONGEST_TAG} signs and of one of the kinds "
                f"{list(shelf.entity.tags)!r} that {shelf.entity.name!r} declares, as in 'kind:name'"
            )
    return loaded
