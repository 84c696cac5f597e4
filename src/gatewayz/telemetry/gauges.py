"""How the gauges of several workers become one: the one place that says it, for every gauge there is."""

from collections.abc import Mapping
from enum import StrEnum


class Rule(StrEnum):
    """PER_WORKER: shown one by one, under the label `worker`, the number of the worker's slot."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    PER_WORKER = "per worker"


GAUGES: Mapping[str, Rule] = {
    "model_cache_size_bytes": Rule.SUM,
    "model_cache_ttl_seconds": Rule.MAX,
    "gatewayz_cache_entries": Rule.SUM,
    "gatewayz_cache_learned_ttl_seconds": Rule.MAX,
    "gatewayz_cache_l2_breaker_state": Rule.SUM,
    "gatewayz_cache_trusted": Rule.MIN,
    "gatewayz_cache_unsent_invalidations": Rule.SUM,
    "gatewayz_cache_consistent_nines": Rule.MIN,
    "gatewayz_journal_unsettled_bytes": Rule.SUM,
    "gatewayz_journal_failing": Rule.MAX,
    "ledger_drift_nano_usd": Rule.MAX,
    "gatewayz_breakers_open": Rule.MAX,
    "gatewayz_provider_left_alone": Rule.MAX,
    "gatewayz_provider_state": Rule.MAX,
    "gatewayz_health_shared": Rule.MIN,
    "gatewayz_redis_memory_bytes": Rule.MAX,
    "gatewayz_redis_memory_limit_bytes": Rule.MAX,
    "gatewayz_running_requests": Rule.SUM,
    "gatewayz_responses_under_way": Rule.SUM,
    "process_virtual_memory_bytes": Rule.PER_WORKER,
    "process_resident_memory_bytes": Rule.PER_WORKER,
    "process_start_time_seconds": Rule.PER_WORKER,
    "process_open_fds": Rule.PER_WORKER,
    "process_max_fds": Rule.PER_WORKER,
}
