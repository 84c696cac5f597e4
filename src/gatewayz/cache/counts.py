"""What happened, as plain integers: the hot path adds one, whoever scrapes does the rest."""

from bisect import bisect_left
from dataclasses import dataclass

from msgspec import Struct

from gatewayz.cache.learned_ttl import Learned
from gatewayz.cache.samples import SampleStats

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latency:
    """A histogram of seconds. `buckets[i]` counts what lies within LATENCY_BUCKETS[i]; the last one counts
    the rest.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self.buckets)


@dataclass(slots=True)
class Counts:
    """How reads of one entity ended, and what they cost. A read counts in exactly one of the first eight.

    `collapsed`: it waited for a load that another had begun. `bypass`: the cache is switched off. `stale` may
    come from either tier. `negative`: an absence that was remembered. `oversized`: values too large for memory's bound.
    Leases on loads: `leases_granted` to this worker, `leases_awaited` while another had them.
    """

    hit_l1: int = 0
    hit_l2: int = 0
    miss: int = 0
    stale: int = 0
    collapsed: int = 0
    negative: int = 0
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


class EntityStats(Struct, frozen=True, kw_only=True):
    """`entries` and `bytes` (of memory, estimated) are those in this worker's memory; `fresh_seconds` is the
    declared policy.
    """

    entries: int
    bytes: int
    fresh_seconds: float
    learned: Learned
    counts: Counts
    load_seconds: Latency
    population_seconds: Latency


class CacheStats(Struct, frozen=True, kw_only=True):
    """`l2` is the breaker's state, or "none" without Redis. `l2_errors` counts by kind.

    `trusted`: invalidations of other workers arrive here. `unsent`: invalidations that Redis has not yet
    heard of. `invalidation_seconds`: of this worker's own, until all tiers of all workers had confirmed.
    `samples`: None where no sampler runs.
    """

    entities: dict[str, EntityStats]
    entries: int
    bytes: int
    l2: str
    l2_errors: dict[str, int]
    l2_opened: int
    trusted: bool
    bus_losses: int
    unsent: int
    invalidation_seconds: Latency
    samples: SampleStats | None
