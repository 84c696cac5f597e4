"""The cache's counters for Prometheus: read when scraped, at no cost before. Never a key in a label."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gatewayz.cache.breaker import BreakerState
from gatewayz.cache.cache import Cache
from gatewayz.cache.counts import AGED_OF, CacheStats, Seconds
from gatewayz.cache.samples import SampleStats

_TIER_AND_RESULT = {
    "hit_l1": ("l1", "hit_l1"),
    "hit_l2": ("l2", "hit_l2"),
    "miss": ("source", "miss"),
    "stale": ("l1", "stale"),
    "stale_l2": ("l2", "stale"),
    "collapsed": ("source", "collapsed"),
    "negative": ("l1", "negative"),
    "negative_l2": ("l2", "negative"),
    "bypass": ("source", "bypass"),
    "error": ("source", "error"),
}


class CacheCollector(Collector):
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        stats = self._cache.stats()
        yield from _by_entity(stats)
        yield _requests(stats)
        yield _latency(stats, "load", "Seconds a loader took.")
        yield _latency(stats, "population", "Seconds it took to fill Redis and memory after a load.")
        yield _ages(stats)
        yield _leases(stats)
        yield from _engine(stats)
        yield from _samples(stats.samples or SampleStats({}, (), 0, 0))


def register(cache: Cache, registry: CollectorRegistry) -> None:
    registry.register(CacheCollector(cache))


def _by_entity(stats: CacheStats) -> Iterator[Metric]:
    hits = CounterMetricFamily("model_cache_hits", "Reads answered without the source.", labels=["entity"])
    misses = CounterMetricFamily("model_cache_misses", "Reads that waited for the source.", labels=["entity"])
    entries = GaugeMetricFamily("gatewayz_cache_entries", "Entries in this worker's memory.", labels=["entity"])
    size = GaugeMetricFamily("model_cache_size_bytes", "Estimated bytes in this worker's memory.", labels=["entity"])
    ttl = GaugeMetricFamily("model_cache_ttl_seconds", "Declared time of being fresh.", labels=["entity"])
    dead = CounterMetricFamily("model_cache_invalidations", "Invalidations applied here.", labels=["entity"])
    evicted = CounterMetricFamily("gatewayz_cache_evictions", "Entries that made room.", labels=["entity"])
    oversized = CounterMetricFamily("gatewayz_cache_oversized", "Values too large for memory.", labels=["entity"])
    failed = CounterMetricFamily("gatewayz_cache_load_errors", "Loads that failed.", labels=["entity"])
    renewed = CounterMetricFamily(
        "gatewayz_cache_refreshes", "Loads begun before a value's time was over.", labels=["entity"]
    )
    learned = GaugeMetricFamily(
        "gatewayz_cache_learned_ttl_seconds", "Time of being fresh that refreshes suggest.", labels=["entity"]
    )
    for name, entity in stats.entities.items():
        counts = entity.counts
        learned.add_metric([name], entity.learned.seconds)
        hits.add_metric([name], counts.hits)
        misses.add_metric([name], counts.misses)
        entries.add_metric([name], entity.entries)
        size.add_metric([name], entity.bytes)
        failed.add_metric([name], counts.load_errors)
        renewed.add_metric([name], counts.refreshes)
        ttl.add_metric([name], entity.fresh_seconds)
        dead.add_metric([name], counts.invalidations)
        evicted.add_metric([name], counts.evictions)
        oversized.add_metric([name], counts.oversized)
    yield from (hits, misses, entries, size, ttl, learned, dead, evicted, oversized, failed, renewed)


def _requests(stats: CacheStats) -> Metric:
    requests = CounterMetricFamily(
        "gatewayz_cache_requests",
        "Reads by the tier that answered and by result.",
        labels=["entity", "tier", "result"],
    )
    for name, entity in stats.entities.items():
        for field, (tier, result) in _TIER_AND_RESULT.items():
            requests.add_metric([name, tier, result], getattr(entity.counts, field))
    return requests


def _leases(stats: CacheStats) -> Metric:
    leases = CounterMetricFamily(
        "gatewayz_cache_leases",
        "Leases on loads: granted to this worker, waited for while another had it, refused_late_fill where an "
        "invalidation had overtaken the load.",
        labels=["entity", "outcome"],
    )
    for name, entity in stats.entities.items():
        leases.add_metric([name, "granted"], entity.counts.leases_granted)
        leases.add_metric([name, "waited"], entity.counts.leases_awaited)
        leases.add_metric([name, "refused_late_fill"], entity.counts.refused_fills)
    return leases


def _latency(stats: CacheStats, what: str, text: str) -> Metric:
    family = HistogramMetricFamily(f"gatewayz_cache_{what}_seconds", text, labels=["entity"])
    for name, entity in stats.entities.items():
        seconds = entity.load_seconds if what == "load" else entity.population_seconds
        family.add_metric([name], buckets=_cumulative(seconds), sum_value=seconds.total)
    return family


def _ages(stats: CacheStats) -> Metric:
    family = HistogramMetricFamily(
        "gatewayz_cache_age_seconds",
        f"Ages of values when they were served: from memory those of one in {AGED_OF} hits, from Redis all.",
        labels=["entity", "tier"],
    )
    for name, entity in stats.entities.items():
        for tier, ages in (("l1", entity.l1_ages), ("l2", entity.l2_ages)):
            family.add_metric([name, tier], buckets=_cumulative(ages), sum_value=ages.total)
    return family


def _cumulative(seconds: Seconds) -> Sequence[tuple[str, float]]:
    buckets = []
    so_far = 0
    for bound, count in zip((*map(str, seconds.bounds), "+Inf"), seconds.buckets, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return buckets


def _engine(stats: CacheStats) -> Iterator[Metric]:
    state = GaugeMetricFamily("gatewayz_cache_l2_breaker_state", "1 for the state it is in.", labels=["state"])
    for each in BreakerState:
        state.add_metric([each], 1 if stats.l2 == each else 0)
    errors = CounterMetricFamily("gatewayz_cache_l2_errors", "Times Redis was of no use, by kind.", labels=["kind"])
    for kind, count in stats.l2_errors.items():
        errors.add_metric([kind], count)
    yield from (state, errors)
    lag = HistogramMetricFamily(
        "gatewayz_cache_invalidation_seconds",
        "Seconds until Redis and all workers had confirmed an invalidation of this worker's.",
        labels=[],
    )
    lag.add_metric([], buckets=_cumulative(stats.invalidation_seconds), sum_value=stats.invalidation_seconds.total)
    yield lag
    yield CounterMetricFamily("gatewayz_cache_l2_breaker_opened", "Times the breaker opened.", value=stats.l2_opened)
    yield CounterMetricFamily("gatewayz_cache_bus_losses", "Times the subscription broke.", value=stats.bus_losses)
    yield GaugeMetricFamily("gatewayz_cache_trusted", "1 while invalidations arrive.", value=int(stats.trusted))
    yield GaugeMetricFamily("gatewayz_cache_unsent_invalidations", "Not yet told to Redis.", value=stats.unsent)


def _samples(samples: SampleStats) -> Iterator[Metric]:
    where = ["entity", "tier"]
    checks = CounterMetricFamily("gatewayz_cache_sample_checks", "Comparisons with the source.", labels=where)
    wrong = CounterMetricFamily("gatewayz_cache_sample_violations", "Confirmed differences, repaired.", labels=where)
    unsettled = CounterMetricFamily(
        "gatewayz_cache_sample_unsettled", "Comparisons that showed nothing, by reason.", labels=["entity", "reason"]
    )
    for name, entity in samples.entities.items():
        for tier, found in (("l1", entity.l1), ("l2", entity.l2)):
            checks.add_metric([name, tier], found.checks)
            wrong.add_metric([name, tier], found.violations)
        for reason in ("failed", "moved", "healed", "drifted"):
            unsettled.add_metric([name, reason], getattr(entity, reason))
    nines = GaugeMetricFamily(
        "gatewayz_cache_consistent_nines", "Nines of consistency, by seconds after an invalidation.", labels=["within"]
    )
    for each in samples.within:
        if each.nines is not None:
            nines.add_metric([f"{each.seconds:g}"], each.nines)
    yield from (checks, wrong, unsettled, nines)
