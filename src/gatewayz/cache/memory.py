"""The tier in the worker's own memory: decoded values, bounded by count and by bytes of memory."""

import difflib
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from gatewayz.cache.backlog import Backlog
from gatewayz.cache.codec import Codec, Life
from gatewayz.cache.counts import AGE_BUCKETS, AGED_OF, Counts, Seconds
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.errors import BadEntity, UnknownEntity
from gatewayz.cache.flight import Flight
from gatewayz.cache.frozen import mutable_parts
from gatewayz.cache.heard import Heard
from gatewayz.cache.learned_ttl import LearnedTtl
from gatewayz.cache.s3fifo import Node, S3Fifo
from gatewayz.cache.scope import Held, Scopes, kind_of
from gatewayz.cache.weight import Scale

V = TypeVar("V")


class Entry(Node, Generic[V]):
    """A value and, on this worker's monotonic clock, until when which use of it is right.

    `check_at`: up to here a hit needs no question. `epoch`: the trust epoch in which it was read. `tags`: how its tags
    were known then. `size`: estimated bytes of memory. `shelf` and `text` say where it stands, once it was put there;
    its times are set by `Landing.lay_out`.
    """

    __slots__ = (
        "check_at", "epoch", "failures", "fresh_until", "key", "life", "refresh_at", "retry_at", "shelf",
        "stale_until", "stamp", "tags", "text", "value",
    )  # fmt: skip

    shelf: "Shelf[V]"
    text: str
    check_at: float
    refresh_at: float
    fresh_until: float
    stale_until: float

    def __init__(  # noqa: PLR0917  made for each read, and words cost more
        self,
        key: object,
        value: V | None,
        life: Life,
        stamp: bytes,
        size: int,
        epoch: int,
        tags: tuple[Held, ...] = (),
    ) -> None:
        self.size = size  # as a Node's __init__ does, without the call
        self.hits = 0
        self.queue = None
        self.key = key
        self.value = value
        self.life = life
        self.stamp = stamp
        self.epoch = epoch
        self.tags = tags
        self.failures = 0
        self.retry_at = 0.0

    def mark(self) -> int:
        return hash((self.shelf.entity.name, self.text))

    def evicted(self) -> None:
        self.shelf.remove(self.text)
        self.shelf.counts.evictions += 1


class Shelf(Generic[V]):
    """All that the cache keeps for one entity in this worker. `keyed_by_text`: a `str` key is its own text.

    `flights`: one for a key, which all who read it join. `kept_apart`: those that nobody joins. `aged_at`: the age of
    the first hit after so many is looked at.
    """

    def __init__(self, entity: Entity[Any, V], policy: Policy, learned: LearnedTtl) -> None:
        self.entity = entity
        self.policy = policy
        self.keyed_by_text = entity.key_text is str
        self.codec = Codec(entity)
        self.scale = Scale()
        self.entries: dict[str, Entry[V]] = {}
        self.bytes = 0
        self.flights: dict[str, Flight[V]] = {}
        self.kept_apart: set[Flight[V]] = set()
        self.watchers: list[Callable[[], object]] = []
        self.counts = Counts()
        self.load_seconds = Seconds()
        self.population_seconds = Seconds()
        self.aged_at = 0
        self.l1_ages = Seconds(AGE_BUCKETS)
        self.l2_ages = Seconds(AGE_BUCKETS)
        self.heard = Heard()
        self.learned = learned

    def note_age(self, entry: Entry[V], now: float) -> None:
        """Of a hit in memory, at this Unix time. It is owed when `counts.hit_l1` goes above `aged_at`."""
        self.aged_at = self.counts.hit_l1 + AGED_OF - 1
        self.l1_ages.observe(max(0.0, now - entry.life.created))

    def drop(self, text: str | None, before: float = math.inf) -> tuple[int, int]:
        """Forget one key, or all (None), if created before that Unix time: how many entries and bytes went. Loads under
        way no longer fill.
        """
        texts = list(self.flights) if text is None else [text]
        for each in texts:
            flight = self.flights.get(each)
            if flight is not None and not flight.is_held:
                flight.alive = False
                del self.flights[each]
                flight.rouse()
        for flight in self.apart_from(text):
            flight.alive = False
        if text is None and before == math.inf:
            return self.forget()
        if text is None:
            gone = [self.remove(each) for each, entry in list(self.entries.items()) if entry.life.created < before]
            return len(gone), sum(gone)
        return (1, self.remove(text)) if text in self.entries else (0, 0)

    def part(self) -> None:
        """Nobody joins the flights under way any more."""
        for flight in self.apart_from(None):
            flight.apart = True
        for flight in [each for each in self.flights.values() if not each.is_held]:
            flight.apart = True
            del self.flights[flight.text]
            flight.rouse()

    def apart_from(self, text: str | None) -> Iterator[Flight[V]]:
        """The flights of a key (None: of any) that nobody joins and that have looked at the tiers."""
        return (flight for flight in self.kept_apart if not flight.is_held and text in (None, flight.text))

    def forget(self) -> tuple[int, int]:
        """Forget every entry, but no load under way."""
        dropped = len(self.entries), self.bytes
        for entry in self.entries.values():
            entry.leave()
        self.entries = {}
        self.bytes = 0
        return dropped

    def remove(self, text: str) -> int:
        entry = self.entries.pop(text)
        entry.leave()
        self.bytes -= entry.size
        return entry.size


def setting_of(entity: Entity[Any, Any]) -> str:
    """The entity's name as it stands in a setting: `models_catalog_full` for `models:catalog:full`."""
    return entity.name.replace(":", "_")


def _in_force(entity: Entity[Any, Any], fresh: Mapping[str, float]) -> Policy:
    """The declared policy, or with the `fresh` that is set and `refresh_at` moved along."""
    declared = entity.policy
    wanted = fresh.get(setting_of(entity))
    if wanted is None:
        return declared
    refresh_at = None if declared.refresh_at is None else declared.refresh_at * wanted / declared.fresh
    return replace(declared, fresh=wanted, refresh_at=refresh_at)


def _shelf(entity: Entity[Any, Any], fresh: Mapping[str, float], learn: Mapping[str, float]) -> Shelf[Any]:
    policy = _in_force(entity, fresh)
    return Shelf(entity, policy, LearnedTtl(policy.fresh, learn.get(setting_of(entity))))


class Shelves(dict[Entity[Any, Any], Shelf[Any]]):
    """By entity, not by name: a stray copy of a declaration is an error, not a second life."""

    def __init__(
        self,
        entities: Iterable[Entity[Any, Any]],
        fresh: Mapping[str, float],
        learn: Mapping[str, float] | None = None,
    ) -> None:
        learn = learn or {}
        declared = list(entities)
        unknown = (fresh.keys() | learn.keys()) - {setting_of(entity) for entity in declared}
        if unknown:
            known = ", ".join(sorted(setting_of(entity) for entity in declared))
            raise BadEntity(f"no entity is called {min(unknown)!r}, for which a TTL is set; known: {known}")
        super().__init__((entity, _shelf(entity, fresh, learn)) for entity in declared)
        self.named = {entity.name: shelf for entity, shelf in self.items()}
        if len(self.named) < len(self):
            raise BadEntity(f"two entities share a name in {sorted(each.name for each in self)!r}: rename one")
        for shorter, longer in pairwise(sorted(f"{name}:" for name in self.named)):
            if longer.startswith(shorter):
                raise BadEntity(
                    f"a key of {shorter[:-1]!r} could be one of {longer[:-1]!r}: no name may go on where another ends"
                )
        for entity in self:
            if entity.load is None and not entity.is_given:
                raise BadEntity(
                    f"{entity.name!r} has no loader: give load=, or decorate a function by @cached, or say is_given"
                )
            if mutable := mutable_parts(entity.value):
                raise BadEntity(
                    f"{entity.name!r} has values that a caller could change for all others: {', '.join(mutable)}; "
                    "use frozen structs, tuples and frozensets"
                )

    def carrying(self, tag: str) -> Iterator[Shelf[Any]]:
        """Those whose values may carry the tag."""
        kind = kind_of(tag)
        return (shelf for entity, shelf in self.items() if kind in entity.tags)

    def by_name(self, name: str) -> Shelf[Any]:
        """Raises UnknownEntity that names the nearest, and all."""
        if (shelf := self.named.get(name)) is not None:
            return shelf
        nearest = " or ".join(map(repr, difflib.get_close_matches(name, self.named, n=3)))
        hint = f"did you mean {nearest}? " if nearest else ""
        raise UnknownEntity(f"no entity is called {name[:80]!r}; {hint}known: {', '.join(sorted(self.named))}")

    def __missing__(self, entity: Entity[Any, Any]) -> Shelf[Any]:
        raise UnknownEntity(f"{entity.name!r} is not among this cache's entities: give it to Cache(entities=…)")


NEVER = -1
"""The epoch of an entry that must be confirmed before it is served."""


class Trust:
    """Whether this worker would hear of an invalidation (`live`), and since which `epoch` without a break.

    `unsent`: what Redis has not yet been told is dead; this worker reads nothing there that it concerns. `floor`: how
    far a source that lags must have come, for loads of which Redis was not asked: as far as for anything of which this
    worker has heard.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self.epoch = 0
        self.losses = 0
        self.unsent = Backlog()
        self.floor = 0


class Memory:
    """The bounds over all shelves, kept by S3-FIFO. `large` entities do not count.

    A value larger than a tenth of the bound in bytes is not kept: its readers ask the next tier each time.
    """

    def __init__(self, shelves: Shelves, scopes: Scopes, trust: Trust, *, max_entries: int, max_bytes: int) -> None:
        self._shelves = shelves
        self._scopes = scopes
        self._trust = trust
        self.queues = S3Fifo(max_entries=max_entries, max_bytes=max_bytes)

    def admits(self, shelf: Shelf[Any], text: str, size: int) -> bool:
        """Whether an entry of so many bytes may stand there. Where not, the one that stood there goes."""
        if size <= self.queues.largest or shelf.entity.large:
            return True
        shelf.counts.oversized += 1
        if text in shelf.entries:
            shelf.remove(text)
        return False

    def put(self, shelf: Shelf[V], text: str, entry: Entry[V]) -> None:
        """Keep an entry that is admitted, in place of the one that stood there."""
        former = shelf.entries.get(text)
        bounded = not shelf.entity.large
        entry.shelf, entry.text = shelf, text
        shelf.entries[text] = entry
        shelf.bytes += entry.size - (former.size if former is not None else 0)
        if bounded and former is not None:
            self.queues.replace(former, entry)
        elif bounded:
            self.queues.put(entry)

    def distrust(self, concerned: Container[str] | None = None) -> None:
        """Nothing that is here now may be served before it was checked; what is never served stale goes at once. Loads
        under way fill nothing, if it concerns their entity (None: it may be any); Redis refuses others that were
        overtaken.
        """
        self._trust.epoch += 1
        self._scopes.bump_all()
        for name, shelf in self._shelves.named.items():
            if not shelf.policy.stale and (concerned is None or name in concerned):
                shelf.drop(None)
            elif not shelf.policy.stale:
                shelf.forget()

    def doubt(self) -> None:
        """As `distrust`, but loads under way may still fill Redis, which refuses those that were overtaken."""
        self._trust.epoch += 1
        for shelf in self._shelves.values():
            if not shelf.policy.stale:
                shelf.forget()

    @property
    def fill(self) -> float:
        """Which share of a bound is used, of that which is the nearer. `large` entities do not count."""
        queues = self.queues
        parts = (
            (queues.small.count + queues.main.count, queues.max_entries),
            (queues.small.bytes + queues.main.bytes, queues.max_bytes),
        )
        return max(used / bound if bound else 0.0 for used, bound in parts)

    @property
    def entries(self) -> int:
        return sum(len(shelf.entries) for shelf in self._shelves.values())

    @property
    def bytes(self) -> int:
        return sum(shelf.bytes for shelf in self._shelves.values())
