"""What happened, as plain integers: the hot path adds one, whoever scrapes does the rest."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from gatewayz.cache.learned_ttl import Learned
from gatewayz.cache.samples import SampleStats

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
AGE_BUCKETS = (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0)
AGED_OF = 64
"""Of so many hits in memory the age of one is looked at, the first among them: most have no time for the clock."""


class Seconds:
    """A histogram of seconds. `buckets[i]` counts what lies within `bounds[i]`; the last one counts the rest."""

    def __init__(self, bounds: Sequence[float] = LATENCY_BUCKETS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets)


@dataclass(slots=True)
class Counts:
    """How reads of one entity ended, and what they cost. A read counts in exactly one of the first ten.

    `collapsed`: it waited for a load that another had begun. `bypass`: the cache is switched off. `stale` came from
    memory, `stale_l2` from Redis. `negative`, `negative_l2`: an absence that was remembered there. `oversized`: values
    too large for memory's bound.
    Leases on loads: `leases_granted` to this worker, `leases_awaited` while another had them.
    """

    hit_l1: int = 0
    hit_l2: int = 0
    miss: int = 0
    stale: int = 0
    stale_l2: int = 0
    collapsed: int = 0
    negative: int = 0
    negative_l2: int = 0
    bypass: int = 0
    error: int = 0
    loads: int = 0
    load_errors: int = 0
    leases_granted: int = 0
    leases_awaited: int = 0
    refused_fills: int = 0
    refreshes: int = 0
    evictions: int = 0
    oversized: int = 0
    invalidations: int = 0

    @property
    def hits(self) -> int:
        """Reads that were answered without the source."""
        return self.hit_l1 + self.hit_l2 + self.stale + self.stale_l2 + self.negative + self.negative_l2

    @property
    def misses(self) -> int:
        """Reads that waited for it."""
        return self.miss + self.collapsed + self.bypass + self.error


class EntityStats(Struct, frozen=True, kw_only=True):
    """`entries` and `bytes` (of memory, estimated) are those in this worker's memory; `fresh_seconds` is the
    declared policy. Ages are those of the values that were served: in memory one of AGED_OF hits, in Redis each.
    """

    entries: int
    bytes: int
    fresh_seconds: float
    learned: Learned
    counts: Counts
    load_seconds: Seconds
    population_seconds: Seconds
    l1_ages: Seconds
    l2_ages: Seconds


class CacheStats(Struct, frozen=True, kw_only=True):
    """`fill`: which share of its bounds memory has used. `l2` is the breaker's state, or "none" without Redis.
    `l2_errors` counts by kind.

    `trusted`: invalidations of other workers arrive here. `unsent`: invalidations that Redis has not yet
    heard of. `invalidation_seconds`: of this worker's own, until all tiers of all workers had confirmed.
    `samples`: None where no sampler runs.
    """

    entities: dict[str, EntityStats]
    entries: int
    bytes: int
    fill: float
    l2: str
    l2_errors: dict[str, int]
    l2_opened: int
    trusted: bool
    bus_losses: int
    unsent: int
    invalidation_seconds: Seconds
    samples: SampleStats | None
