"""What the tiers would say of one key, and why: nobody is asked to load it, and nothing is changed by asking."""

import inspect
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import Life, Rubbish
from gatewayz.cache.entity import Entity, Single
from gatewayz.cache.learned_ttl import Learned
from gatewayz.cache.memory import Entry, Shelf, Trust
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.scope import hold, tag_of
from gatewayz.cache.seen import Seen


class TierState(StrEnum):
    """`absent`: that there is none is remembered. `untrusted`: held, but not served before it was checked. `none`:
    nothing is held. `unavailable`: the tier cannot be asked now.
    """

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"
    ABSENT = "absent"
    UNTRUSTED = "untrusted"
    NONE = "none"
    UNAVAILABLE = "unavailable"


class TierExplanation(Struct, frozen=True, kw_only=True):
    """What one tier holds, whether a read that came to it now would be a hit, and why. Seconds; negative: over."""

    state: TierState
    is_hit: bool
    why: str
    age: float | None = None
    fresh_for: float | None = None
    stale_for: float | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()


class Generations(Struct, frozen=True):
    """In Redis, of the key and of the whole entity: a value filled under another one is dead. None: there is none."""

    key: str | None
    entity: str | None


class Lease(Struct, frozen=True):
    """A worker, this one or another, may do this for so many seconds more; others leave it to that one."""

    to: str
    seconds: float


class LastInvalidation(Struct, frozen=True):
    """The last that this worker heard of and that concerned the key. `at`: Unix seconds. `is_whole`: of every key."""

    at: float
    seconds_ago: float
    is_whole: bool


class Explanation(Struct, frozen=True, kw_only=True):
    """What each tier says of one key now. `key_form`: how a key of this entity is written. `floor`: how far a source
    that may lag must have come, for what is loaded from it to count. `is_loading_here`: this worker reads or loads it
    at this moment. `learned_ttl`: of all its keys, in this worker.
    """

    entity: str
    key: str
    key_form: str
    l1: TierExplanation
    l2: TierExplanation
    generations: Generations | None
    lease: Lease | None
    floor: int | None
    last_invalidation: LastInvalidation | None
    is_loading_here: bool
    learned_ttl: Learned


def key_form(entity: Entity[Any, Any]) -> str:
    """How a key of the entity is written as text."""
    if has_one_value(entity):
        return "empty: the entity has one value"
    if entity.key_text is str:
        return f"{key_name(entity)}, as it is"
    written = inspect.getdoc(entity.key_text)
    return f"as {entity.name!r} writes its keys{f': {written}' if written else ' (its key_text)'}"


def has_one_value(entity: Entity[Any, Any]) -> bool:
    parameters = _loader_parameters(entity)
    return len(parameters) > 1 and parameters[1].annotation == Single


def key_name(entity: Entity[Any, Any]) -> str:
    """What the loader calls its key."""
    parameters = _loader_parameters(entity)
    return parameters[1].name.strip("_") if len(parameters) > 1 else "key"


def _loader_parameters(entity: Entity[Any, Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(entity.load).parameters.values()) if entity.load is not None else []


class Shown(Struct, frozen=True, kw_only=True):
    """What a read of one key would be served by the tiers now. `tier`: l1 for memory, l2 for Redis, None where neither
    has anything to serve; the rest is what that tier says, or Redis where there is none. `value`: None, too, of an
    absence that is remembered, and where it `is_masked`, as are those of an entity that is secret.
    """

    entity: str
    key: str
    tier: str | None
    state: TierState
    why: str
    age: float | None
    fresh_for: float | None
    version: str | None
    tags: tuple[str, ...]
    is_masked: bool
    value: Any


class Explainer:
    """`is_enabled`: reads look into the tiers at all."""

    def __init__(self, tier: RedisTier | None, trust: Trust, clock: Clock, *, is_enabled: bool) -> None:
        self._tier = tier
        self._trust = trust
        self._clock = clock
        self._is_enabled = is_enabled

    async def explain(self, shelf: Shelf[Any], text: str) -> Explanation:
        found = await self._seen(shelf, text)
        l1, l2 = self._tiers(shelf, text, found)
        seen = found if isinstance(found, Seen) else None
        return Explanation(
            entity=shelf.entity.name,
            key=text,
            key_form=key_form(shelf.entity),
            l1=l1,
            l2=l2,
            generations=_generations(seen) if seen is not None else None,
            lease=_lease(seen) if seen is not None else None,
            floor=seen.floor or None if seen is not None else None,
            last_invalidation=self._last_invalidation(shelf, text),
            is_loading_here=text in shelf.flights,
            learned_ttl=shelf.learned.learned,
        )

    async def show(self, shelf: Shelf[Any], text: str) -> Shown:
        found = await self._seen(shelf, text)
        l1, l2 = self._tiers(shelf, text, found)
        tier, told, value = None, l2, None
        if l1.is_hit:
            tier, told, value = "l1", l1, shelf.entries[text].value
        elif l2.is_hit and isinstance(found, Seen) and found.envelope is not None:
            try:
                value = await shelf.codec.value(found.envelope)
                tier = "l2"
            except Rubbish as error:
                told = _tier(
                    TierState.NONE, f"what stands under this key cannot be read, and the next read deletes it: {error}"
                )
        return Shown(
            entity=shelf.entity.name,
            key=text,
            tier=tier,
            state=told.state,
            why=told.why,
            age=told.age,
            fresh_for=told.fresh_for,
            version=told.version,
            tags=told.tags,
            is_masked=shelf.entity.is_secret,
            value=None if shelf.entity.is_secret else value,
        )

    def _tiers(self, shelf: Shelf[Any], text: str, found: Seen | str) -> tuple[TierExplanation, TierExplanation]:
        l1, l2 = self._memory(shelf, text), self._redis(shelf.entity, found)
        return (l1, l2) if self._is_enabled else (_switched_off(l1), _switched_off(l2))

    def _last_invalidation(self, shelf: Shelf[Any], text: str) -> LastInvalidation | None:
        if (last := shelf.heard.last(text)) is None:
            return None
        ago = self._clock.monotonic() - last.at
        return LastInvalidation(self._clock.now() - ago, ago, last.is_whole)

    # ── Memory ──

    def _memory(self, shelf: Shelf[Any], text: str) -> TierExplanation:
        entry = shelf.entries.get(text)
        if entry is None:
            return _tier(TierState.NONE, self._why_not_in_memory(shelf, text))
        now = self._clock.now()
        if entry.epoch != self._trust.epoch or not hold(entry.tags):
            return _tier(TierState.UNTRUSTED, self._why_untrusted(entry), entry.life, now)
        state = _state(entry.life, now, absent=entry.value is None)
        monotonic = self._clock.monotonic()
        if state in (TierState.FRESH, TierState.ABSENT) and monotonic >= entry.check_at and not shelf.policy.stale:
            why = f"not compared with Redis for {_seconds(shelf.policy.l1_max)}: a read asks Redis first"
            return _tier(state, why, entry.life, now)
        return _aged(state, entry.life, now)

    def _why_not_in_memory(self, shelf: Shelf[Any], text: str) -> str:
        if text in shelf.flights:
            return "not in memory yet: a read or a load of it is under way in this worker"
        if not self._trust.live and not shelf.policy.stale:
            return "this worker has lost the bus, so what may never be stale is not kept in memory"
        if (last := shelf.heard.last(text)) is not None:
            what = "the whole entity" if last.is_whole else "the key"
            ago = _seconds(self._clock.monotonic() - last.at)
            return f"not in memory: {what} was invalidated {ago} ago, and it was not read here since, or evicted"
        return "not in memory: never read here, evicted, or dropped when news of invalidations may have been missed"

    def _why_untrusted(self, entry: Entry[Any]) -> str:
        if gone := [each.scope.name for each in entry.tags if each.epoch != each.scope.epoch]:
            return f"{_tags(tag_of(name) or name for name in gone)} invalidated, so Redis is asked before it is served"
        if entry.epoch < 0:
            return "Redis told of a change of this key, so it is read from there again before it is served as fresh"
        if not self._trust.live:
            return "this worker has lost the bus, so memory is not trusted"
        return "invalidations may have been missed since it was read here, so Redis is asked before it is served"

    # ── Redis ──

    async def _seen(self, shelf: Shelf[Any], text: str) -> Seen | str:
        """Or why Redis was of no use."""
        if self._tier is None:
            return "no Redis is configured: this worker has its memory and the source"
        if self._tier.is_left_alone(shelf, text):
            return "Redis' breaker is open: it failed or was too slow, so it is left alone for some seconds"
        found = await self._tier.see(shelf, text)
        return "Redis did not answer in time" if found is None else found

    def _redis(self, entity: Entity[Any, Any], found: Seen | str) -> TierExplanation:
        if isinstance(found, str):
            return _tier(TierState.NONE if self._tier is None else TierState.UNAVAILABLE, found)
        told = _shared(found, self._clock.now())
        if self._trust.unsent.concerns(entity):
            why = "this worker has not yet told Redis of an invalidation that concerns the entity, and reads around it"
            return _replaced(told, why)
        return told


def _shared(found: Seen, now: float) -> TierExplanation:
    if found.is_rubbish:
        return _tier(TierState.NONE, "what stands under this key is no value of the cache: the next read deletes it")
    if found.envelope is None:
        return _tier(TierState.NONE, _why_no_value(found))
    if not found.is_alive:
        return _tier(TierState.NONE, _why_dead(found))
    life = found.envelope.life
    return _aged(_state(life, now, absent=found.envelope.payload is None), life, now)


def _why_no_value(found: Seen) -> str:
    since = found.since(found.generation)
    if since is None:
        return "not there: never filled, expired, or evicted by Redis"
    loading = f"; a worker may load it for {_seconds(found.load_leased_for)} more" if found.load_leased_for else ""
    return (
        f"no value: the key was invalidated, or first asked for, {_seconds(since)} ago, and not filled since{loading}"
    )


def _why_dead(found: Seen) -> str:
    if found.whole is None:
        return "dead: Redis has lost the entity's generation (flushed or evicted), which counts as an invalidation"
    if not found.is_of_this_generation:
        since = _seconds(found.since(found.whole.generation) or 0)
        return f"dead: the whole entity was invalidated {since} ago, after this value was loaded"
    if found.is_too_old:
        return "dead: what was loaded before a certain time was cleared, and this value was"
    return f"dead: {_tags(found.dead_tags)} invalidated after this value was loaded"


def _tags(tags: Iterable[str]) -> str:
    named = list(tags)
    return f"its tag{'s' if len(named) > 1 else ''} {', '.join(map(repr, named))} {'were' if len(named) > 1 else 'was'}"


def _generations(found: Seen) -> Generations:
    whole = found.whole.generation if found.whole is not None else b""
    return Generations(found.generation.decode("latin-1") or None, whole.decode("latin-1") or None)


def _lease(found: Seen) -> Lease | None:
    if found.load_leased_for:
        return Lease("load", found.load_leased_for)
    return Lease("refresh", found.refresh_leased_for) if found.refresh_leased_for else None


def _state(life: Life, now: float, *, absent: bool) -> TierState:
    if now >= life.stale_until:
        return TierState.EXPIRED
    if absent:
        return TierState.ABSENT
    return TierState.FRESH if now < life.fresh_until else TierState.STALE


def _aged(state: TierState, life: Life, now: float) -> TierExplanation:
    """Where nothing but time decides."""
    left, ago = _seconds(life.fresh_until - now), _seconds(now - life.fresh_until)
    why = {
        TierState.FRESH: f"fresh for another {left}: a read is a hit",
        TierState.ABSENT: f'"there is none" is remembered for another {left}: a read is answered with that',
        TierState.STALE: f"no longer fresh since {ago}; stale allowed for another {_seconds(life.stale_until - now)}: "
        "a read is answered with it, and a new one is loaded",
        TierState.EXPIRED: f"expired {_seconds(now - life.stale_until)} ago: a read loads it anew",
    }[state]
    return _tier(state, why, life, now, is_hit=state is not TierState.EXPIRED)


def _tier(
    state: TierState, why: str, life: Life | None = None, now: float = 0, *, is_hit: bool = False
) -> TierExplanation:  # fmt: skip
    if life is None:
        return TierExplanation(state=state, is_hit=is_hit, why=why)
    return TierExplanation(
        state=state,
        is_hit=is_hit,
        why=why,
        age=now - life.created,
        fresh_for=life.fresh_until - now,
        stale_for=life.stale_until - now,
        version=life.version,
        tags=life.tags,
    )


def _switched_off(tier: TierExplanation) -> TierExplanation:
    return _replaced(tier, "the cache is switched off: every read goes to the source")


def _replaced(tier: TierExplanation, why: str) -> TierExplanation:
    return replace(tier, is_hit=False, why=why)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"
