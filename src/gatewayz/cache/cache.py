"""The cache: memory of the worker, then Redis, then the source, with invalidation that reaches all of them.

principal = await cache.get(API_KEY, digest)      # Principal | None
if (hit := cache.peek(API_KEY, digest)) is not None: ...
await cache.invalidate(PROVIDER_CATALOG, "groq")  # and whatever hangs on it
"""

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar, overload

from redis.asyncio import Redis

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.bus import Bus
from gatewayz.cache.census import Census
from gatewayz.cache.clock import Clock
from gatewayz.cache.counts import AGED_OF, CacheStats, EntityStats
from gatewayz.cache.entity import ALL, BatchLoader, Entity, Every, K, Loaded, Single
from gatewayz.cache.errors import BadKey, LoadFailed, SomeFailed
from gatewayz.cache.explanation import Explainer, Explanation, Shown, has_one_value, key_form
from gatewayz.cache.flight import FORCE, HIT_L2, READ, Answer, Flight, Purpose, Served
from gatewayz.cache.invalidation import Cleared, Invalidations
from gatewayz.cache.lookups import Found, Lookups
from gatewayz.cache.memory import Entry, Memory, Shelf, Shelves, Trust
from gatewayz.cache.nodes import Several
from gatewayz.cache.reader import Reader
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.s3fifo import MOST_HITS
from gatewayz.cache.sampler import Sampler
from gatewayz.cache.samples import Violation
from gatewayz.cache.schema import fingerprint
from gatewayz.cache.scope import Scopes, hold
from gatewayz.cache.sources import Sources
from gatewayz.cache.tracking import Tracking
from gatewayz.cache.wire.endpoint import Dial

V = TypeVar("V")

Keep: TypeAlias = Callable[[Loaded[V]], Awaitable[bool]]


MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024 * 1024
DEFAULT_BUDGETS = Budgets()


class Cache:
    """One per worker, used from one event loop. Values are shared by all callers: never change one.

    `source` is handed to every loader but those of `own_sources`, which have one of their own. Without `redis` there is
    memory and source; without `bus` this is the only worker. With a bus, entities that are never served stale stay out
    of memory until `start` has subscribed.
    `fresh`: seconds that replace an entity's own, by its name with `_` for `:`. Raises BadEntity for an unknown name.
    `learn`: which share of reads of an entity shall be right, named alike; such an entity is fresh for as long as was
    learned, see LearnedTtl. The others only tell what they learned.
    `installation`: what tells one installation from another on the same Redis; it is mixed into the prefix of keys.
    `sampler_rate`: checks a second that `sample` may make of what the tiers hold.
    `enabled=False`: every read loads (one load for those who ask together). `redis` says where Redis is, and is the
    caller's to close.
    """

    def __init__(
        self,
        entities: Iterable[Entity[Any, Any]],
        source: object,
        *,
        own_sources: Mapping[Entity[Any, Any], object] | None = None,
        clock: Clock,
        rng: random.Random,
        redis: Redis | Dial | Several | None = None,
        bus: Bus | None = None,
        enabled: bool = True,
        fresh: Mapping[str, float] | None = None,
        learn: Mapping[str, float] | None = None,
        namespace: str = "gw",
        installation: str = "",
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        budgets: Budgets = DEFAULT_BUDGETS,
        sampler_rate: float = 0,
    ) -> None:
        self._monotonic = clock.monotonic
        self._now = clock.now
        self._enabled = enabled
        self._shelves = Shelves(entities, fresh or {}, learn)
        shapes = fingerprint(self._shelves)
        self.prefix = f"{namespace}:{_mixed(shapes, installation)}:"
        self._trust = Trust(live=bus is None)
        scopes = Scopes(self._shelves.named)
        self._memory = Memory(self._shelves, scopes, self._trust, max_entries=max_entries, max_bytes=max_bytes)
        self._tier = None
        if redis is not None:
            self._tier = RedisTier(redis, scopes, prefix=self.prefix, clock=clock, rng=rng, budgets=budgets)
        self._invalidations = Invalidations(
            self._shelves, scopes, self._memory, self._trust, self._tier, bus, shapes, clock
        )  # fmt: skip
        sources = Sources(source, own_sources or {})
        read_tier = self._tier if enabled else None
        changing = self._invalidations.changing
        self._reader = Reader(sources, self._memory, scopes, self._trust, changing, read_tier, clock, rng, enabled)
        self._lookups = Lookups(self._reader, self._trust, clock)
        self._sampler = Sampler(
            self._shelves, self._trust, read_tier, self._invalidations, sources, clock, rng, sampler_rate
        )
        self._invalidations.hearers.append(self._sampler.heard)
        self._explainer = Explainer(self._tier, self._trust, clock, is_enabled=enabled)
        if self._tier is not None:
            self._tier.listen(Tracking(self._shelves, scopes, self._memory, self._reader, self._tier).changed)

    async def start(self) -> None:
        """Subscribe to invalidations. Returns after the first try, failed or not; trying goes on until
        `close`.
        """
        if self._tier is not None:
            self._tier.open()
        await self._invalidations.start()

    async def close(self) -> None:
        """Ends loads under way (their waiters get LoadFailed), the subscription and the cache's own connections."""
        await self._reader.close()
        await self._invalidations.close()
        if self._tier is not None:
            await self._tier.close()

    @overload
    def peek(self, entity: Entity[Single, V]) -> V | None: ...
    @overload
    def peek(self, entity: Entity[K, V], key: K) -> V | None: ...
    def peek(self, entity: Entity[Any, V], key: Any = ()) -> V | None:
        """The value, if this worker's memory has it fresh; None says nothing of what `get` would find."""
        shelf: Shelf[V] = self._shelves[entity]
        text = key if shelf.keyed_by_text and type(key) is str else entity.text(key)
        entry = shelf.entries.get(text)
        if entry is None or entry.epoch != self._trust.epoch or self._monotonic() >= entry.check_at:
            return None
        if entry.tags and not hold(entry.tags):
            return None
        if entry.hits < MOST_HITS:
            entry.hits += 1
        value = entry.value
        if value is not None:
            counts = shelf.counts
            hits = counts.hit_l1 = counts.hit_l1 + 1
            if hits > shelf.aged_at:
                shelf.note_age(entry, self._now())
        return value

    def remembers_absence(self, entity: Entity[K, Any], key: K) -> bool:
        """Whether this worker's memory holds that there is no value, so that `get` would say so with no question. False
        says nothing.
        """
        shelf = self._shelves[entity]
        entry = shelf.entries.get(entity.text(key))
        if entry is None or entry.value is not None or entry.epoch != self._trust.epoch:
            return False
        if self._monotonic() >= entry.check_at or (entry.tags and not hold(entry.tags)):
            return False
        shelf.counts.negative += 1
        return True

    @overload
    async def get(self, entity: Entity[Single, V]) -> V | None: ...
    @overload
    async def get(self, entity: Entity[K, V], key: K) -> V | None: ...
    async def get(self, entity: Entity[Any, V], key: Any = ()) -> V | None:
        """The value, or None where there is none. Raises LoadFailed when it can be had nowhere.

        Those who ask for the same key together share one load; cancelling one of them changes nothing for the
        others.
        """
        shelf: Shelf[V] = self._shelves[entity]
        text = key if shelf.keyed_by_text and type(key) is str else entity.text(key)
        while True:
            entry = shelf.entries.get(text)
            if entry is not None and entry.epoch == self._trust.epoch and self._serves(shelf, key, text, entry):
                return entry.value
            flight = shelf.flights.get(text)
            joined = flight is not None
            if flight is None:
                flight = self._reader.read(shelf, key, text)
            answer = await flight.wait()
            if not answer.again:
                return self._served(shelf, flight, answer, joined=joined)

    async def find(self, entity: Entity[K, V], key: K) -> Found[V] | None:
        """What the tiers hold, fresh or stale; nothing is loaded, and nothing begun behind. None where Redis, too, has
        nothing or does not answer.
        """
        return await self._lookups.find(self._shelves[entity], key)

    async def find_many(self, entity: Entity[K, V], keys: Iterable[K]) -> dict[K, Found[V]]:
        """As `find`, with one question to Redis. What somebody loads at the moment is not among them, and what is not
        counts as no miss: `get_many` is to follow for that.
        """
        return await self._lookups.find_many(self._shelves[entity], keys)

    @asynccontextmanager
    async def keeping(self, entity: Entity[K, V], key: K) -> AsyncIterator[Keep[V]]:
        """For a value that comes up outside of any loader, after a time of any length: enter this before it begins, and
        call what it gives with a `Loaded` once it is there. That fills the tiers as a load does, in place of whatever
        they hold, and says whether it did: not if the key, a tag, the entity or what it hangs on was invalidated in
        between. Raises CacheError for what no loader may give. Fences last five minutes; after that nothing is filled.
        """
        shelf: Shelf[V] = self._shelves[entity]
        created, began = self._now(), self._monotonic()
        pending = await self._reader.fence(shelf, key, entity.text(key))

        async def keep(loaded: Loaded[V]) -> bool:
            return await self._reader.fill(shelf, pending, loaded, created, self._monotonic() - began)

        try:
            yield keep
        finally:
            shelf.kept_apart.discard(pending.flight)

    async def get_many(
        self,
        entity: Entity[K, V],
        keys: Iterable[K],
        load: BatchLoader[K, V] | None = None,
        *,
        anew: bool = False,
    ) -> dict[K, V]:
        """Those of the keys that have a value. One question to Redis, one batch load for the rest (in a Redis Cluster,
        one for each server that has some of them). Raises SomeFailed, which has the values of the others.

        `load`: what to load by, for an entity that is given. Of all who ask for a key together one's is called, not
        always in one go, and again for what was invalidated meanwhile. `anew`: load whatever the tiers hold, and
        whoever else may be about it.
        """
        shelf: Shelf[V] = self._shelves[entity]
        values: dict[K, V | None] = {}
        failures: dict[K, LoadFailed] = {}
        left: Iterable[K] = dict.fromkeys(keys)
        while left:
            again = []
            for key, (flight, joined) in self._under_way(shelf, left, values, load, anew=anew).items():
                answer = await flight.wait()
                if answer.again and not (anew and answer.error is not None):
                    again.append(key)
                    continue
                try:
                    values[key] = self._served(shelf, flight, answer, joined=joined)
                except LoadFailed as failure:
                    failures[key] = failure
            left = again
        found = {key: value for key, value in values.items() if value is not None}
        if failures:
            raise SomeFailed(entity.name, found, failures)
        return found

    def _under_way(
        self,
        shelf: Shelf[V],
        keys: Iterable[K],
        values: dict[K, V | None],
        load: BatchLoader[K, V] | None,
        *,
        anew: bool,
    ) -> dict[K, tuple[Flight[V], bool]]:
        """By key the flight that brings it, and whether another began that; what memory has goes into `values`."""
        flights: dict[K, tuple[Flight[V], bool]] = {}
        missing: dict[str, K] = {}
        for key in keys:
            text = shelf.entity.text(key)
            entry = shelf.entries.get(text)
            if anew:
                missing[text] = key
            elif entry is not None and entry.epoch == self._trust.epoch and self._serves(shelf, key, text, entry):
                values[key] = entry.value
            elif (flight := shelf.flights.get(text)) is not None:
                flights[key] = flight, True
            else:
                missing[text] = key
        if missing:
            asked = [(key, text) for text, key in missing.items()]
            started = self._reader.start(shelf, asked, FORCE if anew else READ, brought=load)
            flights.update((key, (flight, False)) for key, flight in zip(missing.values(), started, strict=True))
        return flights

    @overload
    async def refresh(self, entity: Entity[Single, V]) -> V | None: ...
    @overload
    async def refresh(self, entity: Entity[K, V], key: K) -> V | None: ...
    async def refresh(self, entity: Entity[Any, V], key: Any = ()) -> V | None:
        """Load now, whatever the tiers hold, and replace it in all of them. Raises LoadFailed; then all
        stays.
        """
        shelf: Shelf[V] = self._shelves[entity]
        (flight,) = self._reader.start(shelf, [(key, entity.text(key))], Purpose.FORCE)
        answer = await flight.wait()
        if answer.error is not None:
            raise flight.failure(answer.error)
        return answer.value

    async def refresh_due(self) -> int:
        """Load anew what memory holds of entities with `refresh_at` and is due; return how many, once all are
        done.

        Of all workers that call this, one loads a key; the others see its result the next time.
        """
        now = self._monotonic()
        due = [
            (shelf, entry.key, text, entry.stamp)
            for shelf in self._shelves.values()
            if shelf.policy.refresh_at is not None
            for text, entry in shelf.entries.items()
            if entry.refresh_at <= now and entry.epoch == self._trust.epoch
        ]
        started = [self._reader.refresh_behind(*each) for each in due]
        flights = [flight for flight in started if flight is not None]
        for flight in flights:
            await flight.wait()
        return len(flights)

    async def invalidate(self, entity: Entity[K, Any], key: K | Every = ALL, *, floor: int = 0) -> Cleared:
        """What this key (or every key) stands for has changed: no read that begins after this returns the
        older value, of it and of all that hangs on it, in any worker; `Cleared.everywhere` says whether all
        have confirmed. Cancelling the caller does not undo half of it. `floor`: how far a source that may lag must
        have come, for loads to count (`Loaded.position`).
        """
        shelf = self._shelves[entity]
        return await self._invalidations.kill({shelf.entity: [key]}, floor=floor)

    async def invalidate_text(self, name: str, text: str | None) -> Cleared:
        """As `invalidate`, for the name of an entity and a key as it is written, None for every key. Raises
        UnknownEntity, which names the nearest that there are.
        """
        return await self.invalidate(self._shelves.by_name(name).entity, ALL if text is None else text)

    async def get_text(self, name: str, text: str) -> object | None:
        """As `get`, for the name of an entity and a key as it is written. Raises UnknownEntity, and BadKey where no
        value can be loaded for a text.
        """
        entity = self._shelves.by_name(name).entity
        if entity.is_given:
            raise BadKey(f"{name!r} has no source to load from: it is filled by what answers give")
        if has_one_value(entity):
            if text:
                raise BadKey(f"{name!r} has one value: leave out the key {text!r}")
            return await self.get(entity, ())
        if entity.key_text is not str:
            raise BadKey(f"{name!r} does not load by a written key: {key_form(entity)}")
        if not text:
            raise BadKey(f"{name!r} has many values: name the keys to load, each {key_form(entity)}")
        return await self.get(entity, text)

    async def invalidate_tag(self, tag: str, *, floor: int = 0) -> Cleared:
        """The same for all values that carry the tag, and for all entities that hang on one whose values may."""
        return await self._invalidations.kill({}, tags=[tag], floor=floor)

    async def clear(self, prefix: str = "", *, older_than: float | None = None) -> Cleared:
        """Invalidate every entity whose name begins so, or of these what was loaded before that Unix time."""
        entities = [entity for entity in self._shelves if entity.name.startswith(prefix)]
        if older_than is not None:
            return await self._invalidations.age(entities, older_than)
        return await self._invalidations.kill({entity: [ALL] for entity in entities})

    async def apply(self, changed: Mapping[str, Collection[str] | None], floor: int = 0) -> bool:
        """Like `invalidate`, for rows that have changed: the keys (None: any) by the entities' names, as the database
        noted them. False where not all tiers took it: then it must be repeated, which is up to the caller.
        """
        return await self._invalidations.apply(changed, floor)

    def on_rows_changed(self, callback: Callable[[], object]) -> None:
        """Call back, from the event loop and soon, whenever a commit anywhere has changed rows behind an entity."""
        self._invalidations.row_watchers.append(callback)

    async def repair(self) -> bool:
        """Repeat now the invalidations that have not reached Redis or the other workers; True when none are
        left.

        After `start` this also happens by itself.
        """
        return await self._invalidations.repair()

    def on_invalidated(self, entity: Entity[Any, Any], callback: Callable[[], object]) -> None:
        """Call back, from the event loop and soon, after any key of the entity was invalidated by any worker, or
        replaced by another one, and whenever an invalidation may have been missed.
        """
        self._shelves[entity].watchers.append(callback)

    async def sample(self) -> int:
        """Compare some of what the tiers hold with the source, and repair what is wrong; how many checks that were.

        To be called about every second; `sampler_rate` bounds what it does.
        """
        return await self._sampler.sample()

    def on_violation(self, callback: Callable[[Violation], object]) -> None:
        """Call back, from the event loop and soon, whenever `sample` has found and repaired what was wrong."""
        self._sampler.watchers.append(callback)

    def stats(self) -> CacheStats:
        """Numbers of this worker since its start. The counters inside are live: copy them to keep them."""
        tier = self._tier
        return CacheStats(
            entities={name: _entity_stats(shelf) for name, shelf in self._shelves.named.items()},
            entries=self._memory.entries,
            bytes=self._memory.bytes,
            fill=self._memory.fill,
            l2=tier.calls.state if tier is not None else "none",
            l2_errors=dict(tier.calls.errors) if tier is not None else {},
            l2_opened=tier.calls.opened if tier is not None else 0,
            trusted=self._trust.live,
            bus_losses=self._trust.losses,
            unsent=len(self._trust.unsent),
            invalidation_seconds=self._invalidations.confirmed_after,
            samples=self._sampler.stats(),
        )

    @property
    def has_redis(self) -> bool:
        return self._tier is not None

    async def census(self) -> Census | None:
        """How much of each entity Redis holds, estimated at little cost. None without Redis, or where it does not
        answer.
        """
        return await self._tier.census(self._shelves.named) if self._tier is not None else None

    async def explain(self, entity: Entity[K, Any], key: K) -> Explanation:
        """What each tier holds for the key now, and why a read would be a hit or not. Asks Redis; loads nothing and
        changes no tier.
        """
        return await self._explainer.explain(self._shelves[entity], entity.text(key))

    async def explain_text(self, name: str, text: str) -> Explanation:
        """As `explain`, for the name of an entity and a key as it is written. Raises UnknownEntity, which names the
        nearest that there are.
        """
        return await self._explainer.explain(self._shelves.by_name(name), text)

    async def show_text(self, name: str, text: str) -> Shown:
        """What a read of this key would be served, and from where; nothing is loaded, and no tier changed. For the name
        of an entity and a key as it is written. Raises UnknownEntity, which names the nearest that there are.
        """
        return await self._explainer.show(self._shelves.by_name(name), text)

    def _serves(self, shelf: Shelf[Any], key: object, text: str, entry: Entry[Any]) -> bool:
        """Whether this trusted entry answers the read at once; starts its replacement in the background if
        due.
        """
        if entry.tags and not hold(entry.tags):
            return False
        now = self._monotonic()
        counts = shelf.counts
        if now < entry.check_at:
            if entry.value is None:
                counts.negative += 1
            else:
                hits = counts.hit_l1 = counts.hit_l1 + 1
                if hits > shelf.aged_at:
                    shelf.note_age(entry, self._now())
            due = now >= entry.refresh_at
        elif shelf.policy.stale and entry.value is not None and now < entry.stale_until:
            if now < entry.fresh_until:
                counts.hit_l1 += 1
            else:
                self._count_stale(shelf, entry)
            due = now >= min(entry.refresh_at, entry.fresh_until)
            if not due:
                self._reader.look_again(shelf, key, text)
        else:
            return False
        if entry.hits < MOST_HITS:
            entry.hits += 1
        if due:
            self._reader.refresh_behind(shelf, key, text, entry.stamp)
        return True

    def _count_stale(self, shelf: Shelf[Any], entry: Entry[Any]) -> None:
        shelf.counts.stale += 1
        if shelf.counts.stale % AGED_OF == 1:
            shelf.note_age(entry, self._now())

    def _served(self, shelf: Shelf[V], flight: Flight[V], answer: Answer[V], *, joined: bool) -> V | None:
        counts = shelf.counts
        if answer.error is not None:
            counts.error += 1
            raise flight.failure(answer.error)
        if answer.served is HIT_L2 and not joined:
            counts.hit_l2 += 1
            return answer.value
        name = "collapsed" if joined else answer.served.value
        setattr(counts, name, getattr(counts, name) + 1)
        if answer.served in (Served.STALE, Served.STALE_L2):
            self._reader.refresh_behind(shelf, flight.key, flight.text, flight.seen)
        return answer.value


def _mixed(shapes: str, installation: str) -> str:
    if not installation:
        return shapes
    return hashlib.blake2b(f"{shapes} {installation}".encode(), digest_size=8).hexdigest()


def _entity_stats(shelf: Shelf[Any]) -> EntityStats:
    return EntityStats(
        entries=len(shelf.entries),
        bytes=shelf.bytes,
        fresh_seconds=shelf.policy.fresh,
        learned=shelf.learned.learned,
        counts=shelf.counts,
        load_seconds=shelf.load_seconds,
        population_seconds=shelf.population_seconds,
        l1_ages=shelf.l1_ages,
        l2_ages=shelf.l2_ages,
    )
