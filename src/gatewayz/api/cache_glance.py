"""What a worker says of its cache when a sibling asks how it is now."""

import os
from collections import deque

import msgspec
from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.counts import CacheStats
from gatewayz.cache.samples import Within
from gatewayz.core.clock import Clock

GLANCE = "cache glance"
"""The question."""

NOTE_EVERY = 5.0
RECENT = 60.0
"""Seconds that count as now."""


class Glance(Struct, frozen=True, array_like=True, kw_only=True):
    """`recent_hits` of `recent_reads`: of the last minute. `checks`, `violations`: of consistency, since the start."""

    pid: int
    entries: int
    bytes: int
    fill: float
    breaker: str
    is_trusted: bool
    unsent: int
    recent_reads: int
    recent_hits: int
    checks: int
    violations: int
    within: tuple[Within, ...]


class _Noted(Struct, frozen=True):
    at: float
    reads: int
    hits: int


class Glances:
    """Of this worker. Its reads of the last minute are told from notes, to be made every NOTE_EVERY seconds."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._notes = deque([_Noted(clock.monotonic(), 0, 0)], maxlen=round(RECENT / NOTE_EVERY) + 1)

    async def note(self) -> None:
        self._notes.append(self._now(self._cache.stats()))

    async def answer(self, _words: bytes) -> bytes:
        return msgspec.msgpack.encode(self.glance())

    def glance(self) -> Glance:
        stats = self._cache.stats()
        now, before = self._now(stats), self._a_minute_ago()
        samples = stats.samples
        tiers = [tier for each in samples.entities.values() for tier in (each.l1, each.l2)] if samples else []
        return Glance(
            pid=os.getpid(),
            entries=stats.entries,
            bytes=stats.bytes,
            fill=stats.fill,
            breaker=stats.l2,
            is_trusted=stats.trusted,
            unsent=stats.unsent,
            recent_reads=now.reads - before.reads,
            recent_hits=now.hits - before.hits,
            checks=sum(each.checks for each in tiers),
            violations=sum(each.violations for each in tiers),
            within=samples.within if samples else (),
        )

    def _a_minute_ago(self) -> _Noted:
        """The oldest note that is not too old, or the newest of those that are."""
        since = self._clock.monotonic() - RECENT
        return next((each for each in self._notes if each.at >= since), self._notes[-1])

    def _now(self, stats: CacheStats) -> _Noted:
        counts = [each.counts for each in stats.entities.values()]
        hits = sum(each.hits for each in counts)
        return _Noted(self._clock.monotonic(), hits + sum(each.misses for each in counts), hits)
