"""Compares what this worker's memory and Redis would serve with what the source says, a few keys at a time."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import Life, Rubbish
from gatewayz.cache.entity import Entity, Loaded
from gatewayz.cache.flight import Flight, Purpose
from gatewayz.cache.invalidation import Invalidations
from gatewayz.cache.loading import load
from gatewayz.cache.memory import Entry, Shelf, Shelves, Trust
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.samples import EntitySamples, SampleStats, TierSamples, Violation, Within
from gatewayz.cache.scope import hold
from gatewayz.cache.sources import Sources

AFTER = (1.0, 10.0, 60.0)
CONFIRM_AFTER = 2.0  # as long as a worker may take to notice that it hears no invalidations
TOO_LATE = 3  # times the seconds after an invalidation: then a check says nothing of that figure any more
MOST_PENDING = 300
RESTS = 50  # times as long as the last check took

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class _Held(Struct, frozen=True):
    """What one tier would serve. `mark` tells this fill from every other; `floor`: how far the source must be."""

    loaded: Loaded[Any]
    life: Life
    mark: object
    floor: int = 0


class _Planned(Struct, frozen=True):
    name: str
    text: str | None
    after: float


class _Suspect(Struct, frozen=True):
    """Tiers that differed from the source at a first read."""

    shelf: Shelf[Any]
    text: str
    after: float | None
    due: float
    source: Loaded[Any]
    held: dict[str, _Held]


class Sampler:
    """Checks 1, 10 and 60 s after invalidations, and in the time that leaves, entries of memory at random.

    `rate`: checks a second, at most; after each it rests fifty times as long as it took, so that it never takes more
    than a fiftieth of one connection's time. 0: it does nothing. A check loads past every flight and fills nothing.
    """

    def __init__(  # noqa: PLR0917  the parts, as the cache has them
        self,
        shelves: Shelves,
        trust: Trust,
        tier: RedisTier | None,
        invalidations: Invalidations,
        sources: Sources,
        clock: Clock,
        rng: random.Random,
        rate: float,
    ) -> None:
        self._shelves = shelves
        self._trust = trust
        self._tier = tier
        self._invalidations = invalidations
        self._sources = sources
        self._clock = clock
        self._rng = rng
        self._rate = rate
        self._planned: dict[_Planned, float] = {}
        self._suspects: list[_Suspect] = []
        self._earned_at = clock.monotonic()
        self._earned = 0.0
        self._rests_until = 0.0
        self._late = 0
        self._counts = {name: EntitySamples(TierSamples(), TierSamples()) for name in shelves.named}
        self._within = {after: Within(after) for after in AFTER}
        self.watchers: list[Callable[[Violation], object]] = []

    def stats(self) -> SampleStats | None:
        if not self._rate:
            return None
        pending = len(self._planned) + len(self._suspects)
        return SampleStats(self._counts, tuple(self._within.values()), pending, self._late)

    def heard(self, shelf: Shelf[Any], text: str | None) -> None:
        """An invalidation has just been applied here; None: of every key."""
        if not self._rate or not _can_be_compared(shelf.entity):
            return
        for after in AFTER:
            planned = _Planned(shelf.entity.name, text, after)
            if planned not in self._planned and len(self._planned) >= MOST_PENDING:
                known = list(self._planned)
                chosen = self._rng.randrange(len(known) + 1)
                if chosen == len(known):
                    continue
                del self._planned[known[chosen]]
            self._planned[planned] = self._clock.monotonic()

    async def sample(self) -> int:
        """Check what is due, as far as the rate allows; how many checks that were. Call it every second or so."""
        self._earn()
        checks = 0
        while self._earned >= 1 and self._clock.monotonic() >= self._rests_until:
            self._earned -= 1
            checks += 1
            began = self._clock.monotonic()
            if not await self._check_one():
                break
            self._rests_until = self._clock.monotonic() + RESTS * (self._clock.monotonic() - began)
        return checks

    def _earn(self) -> None:
        now = self._clock.monotonic()
        most = max(1.0, self._rate)
        self._earned = min(most, self._earned + self._rate * (now - self._earned_at))
        self._earned_at = now

    async def _check_one(self) -> bool:
        """What matters most now: a confirmation, then a key that was invalidated, then any; False if there is none."""
        now = self._clock.monotonic()
        for suspect in self._suspects:
            if now >= suspect.due:
                self._suspects.remove(suspect)
                await self._confirm(suspect)
                return True
        if (planned := self._due(now)) is not None:
            shelf = self._shelves.named[planned.name]
            text = planned.text if planned.text is not None else self._any_text(shelf)
            if text is not None:
                await self._check(shelf, text, planned.after)
            return True
        held = [shelf for shelf in self._shelves.values() if shelf.entries and _can_be_compared(shelf.entity)]
        if not held:
            return False
        (shelf,) = self._rng.choices(held, [len(each.entries) for each in held])
        if (text := self._any_text(shelf)) is not None:
            await self._check(shelf, text, None)
        return True

    def _due(self, now: float) -> _Planned | None:
        """One of the checks whose time has come; those whose time has passed are given up."""
        late = [planned for planned, at in self._planned.items() if now > at + TOO_LATE * planned.after]
        for planned in late:
            del self._planned[planned]
        self._late += len(late)
        due = [planned for planned, at in self._planned.items() if now >= at + planned.after]
        if not due:
            return None
        chosen = self._rng.choice(due)
        del self._planned[chosen]
        return chosen

    def _any_text(self, shelf: Shelf[Any]) -> str | None:
        texts = list(shelf.entries)
        return self._rng.choice(texts) if texts else None

    async def _check(self, shelf: Shelf[Any], text: str, after: float | None) -> None:
        """Of a key that memory does not have nothing is known here, not even how to load it: others have it."""
        entry = shelf.entries.get(text)
        if entry is None:
            return
        held = await self._held(shelf, text, entry)
        if not held:
            return
        source = await self._load(shelf, entry, max(each.floor for each in held.values()))
        counts = self._counts[shelf.entity.name]
        if source is None:
            counts.failed += 1
            return
        differing = {tier: each for tier, each in held.items() if not await _alike(shelf, each.loaded, source)}
        for tier in held:
            _of(counts, tier).checks += 1
        if after is not None:
            self._within[after].count(checks=1)
        if not differing:
            return
        if after is None and not _is_told(shelf.entity):
            counts.drifted += 1
            return
        due = self._clock.monotonic() + CONFIRM_AFTER
        self._suspects.append(_Suspect(shelf, text, after, due, source, differing))

    async def _confirm(self, suspect: _Suspect) -> None:
        """A difference counts if source and tier both still say what they said."""
        shelf, counts = suspect.shelf, self._counts[suspect.shelf.entity.name]
        entry = shelf.entries.get(suspect.text)
        now_held = await self._held(shelf, suspect.text, entry)
        wrong = {
            tier: held
            for tier, held in suspect.held.items()
            if (now := now_held.get(tier)) is not None and now.mark == held.mark
        }
        if entry is None or not wrong:
            counts.healed += 1
            return
        source = await self._load(shelf, entry, max(each.floor for each in now_held.values()))
        if source is None:
            counts.failed += 1
        elif not await _alike(shelf, suspect.source, source):
            counts.moved += 1
        else:
            if suspect.after is not None:
                self._within[suspect.after].count(violations=1)
            for tier, held in wrong.items():
                _of(counts, tier).violations += 1
                self._tell(suspect, tier, held)
            await self._repair(shelf, suspect.text, entry, wrong)

    async def _repair(self, shelf: Shelf[Any], text: str, entry: Entry[Any], wrong: dict[str, _Held]) -> None:
        """What only this worker has wrong goes from here, if it still stands; else nobody may keep it, nor what hangs
        on it.
        """
        if "l2" in wrong:
            await self._invalidations.kill({shelf.entity: [entry.key]})
        elif shelf.entries.get(text) is wrong["l1"].mark:
            shelf.remove(text)

    def _tell(self, suspect: _Suspect, tier: str, held: _Held) -> None:
        violation = Violation(
            entity=suspect.shelf.entity.name,
            key=suspect.text,
            tier=tier,
            after=suspect.after,
            age=self._clock.now() - held.life.created,
            held_version=held.loaded.version,
            source_version=suspect.source.version,
        )
        for watcher in self.watchers:
            asyncio.get_running_loop().call_soon(watcher, violation)

    async def _held(self, shelf: Shelf[Any], text: str, entry: Entry[Any] | None) -> dict[str, _Held]:
        """What the tiers would serve as fresh, by tier: what they would not serve may be old."""
        held = {}
        if (shared := await self._shared(shelf, text)) is not None:
            held["l2"] = shared
        trusted = entry is not None and self._trust.live and entry.epoch == self._trust.epoch and hold(entry.tags)
        if entry is not None and trusted and self._clock.monotonic() < entry.check_at:
            held["l1"] = _Held(Loaded(value=entry.value, version=entry.life.version), entry.life, entry)
        return held

    async def _shared(self, shelf: Shelf[Any], text: str) -> _Held | None:
        if self._tier is None or self._trust.unsent.concerns(shelf.entity) or self._tier.is_left_alone(shelf, text):
            return None
        seen = await self._tier.see(shelf, text)
        if seen is None or seen.envelope is None or not seen.is_alive:
            return None
        life = seen.envelope.life
        if self._clock.now() >= life.fresh_until:
            return None
        try:
            value = await shelf.codec.value(seen.envelope)
        except Rubbish:
            return None  # the next read deletes it
        return _Held(Loaded(value=value, version=life.version), life, seen.stamp, seen.floor)

    async def _load(self, shelf: Shelf[Any], entry: Entry[Any], floor: int) -> Loaded[Any] | None:
        """What the source says, asked beside all flights; None if it does not say, or lags behind the floor."""
        beside: Flight[Any] = Flight(shelf.entity, entry.key, entry.text, Purpose.LOOK, epoch=0)
        within = shelf.policy.load_within
        (outcome,) = await load(self._sources.of(shelf.entity), [beside], [None], required=floor, within=within)
        loaded = outcome.loaded
        if not isinstance(loaded, Loaded) or (loaded.position is not None and loaded.position < floor):
            return None
        return loaded


def _of(counts: EntitySamples, tier: str) -> TierSamples:
    return counts.l1 if tier == "l1" else counts.l2


def _can_be_compared(entity: Entity[Any, Any]) -> bool:
    return not entity.is_given and not entity.is_moving


def _is_told(entity: Entity[Any, Any]) -> bool:
    """Whether somebody says when its rows change. If not, it may differ from its source until its time is over."""
    return bool(entity.filled_from) or any(_is_told(below) for below in _below(entity))


def _below(entity: Entity[Any, Any]) -> Iterator[Entity[Any, Any]]:
    for each in entity.hangs_on:
        yield each if isinstance(each, Entity) else each.entity


async def _alike(shelf: Shelf[Any], one: Loaded[Any], other: Loaded[Any]) -> bool:
    """By their versions, where both declare one; else by their encodings."""
    if (one.value is None) is not (other.value is None):
        return False
    if one.version is not None and other.version is not None:
        return one.version == other.version
    if shelf.entity.large:
        return await asyncio.to_thread(_encoded_alike, one, other)
    return _encoded_alike(one, other)


def _encoded_alike(one: Loaded[Any], other: Loaded[Any]) -> bool:
    return one.value is other.value or _encode(one.value) == _encode(other.value)
