"""What the caches of all workers did, by entity and tier: the fleet's metrics, arranged as people ask for them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from gatewayz.api.admin.forms import dollars
from gatewayz.api.cache_forms import (
    AgeForm,
    ConsistencyForm,
    EntityForm,
    FiguresForm,
    InvalidationsForm,
    RedisForm,
    SourceForm,
    TierForm,
    WorkersForm,
)
from gatewayz.cache.census import Census, Share
from gatewayz.core.money import NANO_PER_USD, NanoUsd
from gatewayz.responses.repository import CHAT
from gatewayz.telemetry.fleet_metrics import Together
from gatewayz.telemetry.snapshot import Family

Held: TypeAlias = tuple[int | None, int | None]
"""Entries and bytes of a tier; None where that is not known."""


class _Found:
    """Samples by name, from whichever family, and by entity, where they have one."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._samples = defaultdict[tuple[str, str | None], list[tuple[dict[str, str], float]]](list)
        for family in families:
            for name, labels, value in family.samples:
                self._samples[name, None].append((labels, value))
                if (entity := labels.get("entity")) is not None:
                    self._samples[name, entity].append((labels, value))

    def sum(self, name: str, *, entity: str | None = None, **labels: str) -> float:
        wanted = labels.items()
        return sum(value for each, value in self._samples[name, entity] if wanted <= each.items())

    def count(self, name: str, **labels: str) -> int:
        return round(self.sum(name, **labels))

    def by(self, label: str, name: str, *, entity: str | None = None) -> dict[str, float]:
        """Sums over all samples that have the label's value in common."""
        found = defaultdict[str, float](float)
        for labels, value in self._samples[name, entity]:
            found[labels[label]] += value
        return found


def figures_of(together: Together, census: Census | None, *, has_redis: bool) -> FiguresForm:
    """`census`: None where it is not known what Redis holds."""
    found = _Found(together.families)

    def entity(of: Mapping[str, str], names: Iterable[str]) -> EntityForm:
        redis = _redis_tier(found, of, _held(census, names)) if has_redis else None
        return _entity(found, of, redis)

    entities = {name: entity({"entity": name}, [name]) for name in sorted(found.by("entity", "model_cache_hits_total"))}
    answering, silent = len(together.answering), len(together.silent)
    return FiguresForm(
        workers=WorkersForm(answering=answering, silent=silent, of=answering + silent),
        total=entity({}, entities),
        entities=entities,
        redis=_redis(found, census) if has_redis else None,
        invalidations=_invalidations(found),
        consistency=ConsistencyForm(
            checks=found.count("gatewayz_cache_sample_checks_total"),
            violations=found.count("gatewayz_cache_sample_violations_total"),
            nines=found.by("within", "gatewayz_cache_consistent_nines"),
        ),
    )


def _entity(found: _Found, of: Mapping[str, str], redis: TierForm | None) -> EntityForm:
    """`of`: the entity, or nothing for all together."""
    ended = found.by("result", "gatewayz_cache_requests_total", **of)
    hits, misses = found.count("model_cache_hits_total", **of), found.count("model_cache_misses_total", **of)
    is_one = bool(of)
    return EntityForm(
        reads=hits + misses,
        hits=hits,
        misses=misses,
        stale=round(ended["stale"]),
        collapsed=round(ended["collapsed"]),
        negative=round(ended["negative"]),
        bypassed=round(ended["bypass"]),
        errors=round(ended["error"]),
        hit_rate=_share(hits, hits + misses),
        memory=_memory_tier(found, of, hits + misses),
        redis=redis,
        source=_source(found, of),
        refreshes=found.count("gatewayz_cache_refreshes_total", **of),
        invalidations=found.count("model_cache_invalidations_total", **of),
        evictions=found.count("gatewayz_cache_evictions_total", **of),
        oversized=found.count("gatewayz_cache_oversized_total", **of),
        refused_fills=found.count("gatewayz_cache_leases_total", outcome="refused_late_fill", **of),
        fresh_seconds=found.sum("model_cache_ttl_seconds", **of) if is_one else None,
        learned_seconds=found.sum("gatewayz_cache_learned_ttl_seconds", **of) if is_one else None,
        **_saved(found, of),
    )


def _memory_tier(found: _Found, of: Mapping[str, str], reads: int) -> TierForm:
    kept = found.count("gatewayz_cache_entries", **of), found.count("model_cache_size_bytes", **of)
    return _tier(found, {"tier": "l1", **of}, reads, kept)


def _redis_tier(found: _Found, of: Mapping[str, str], held: Held) -> TierForm:
    """Its reads are those that it answered, and those that went on to a load."""
    ended = found.by("result", "gatewayz_cache_requests_total", **of)
    answered = found.count("gatewayz_cache_requests_total", tier="l2", **of)
    return _tier(found, {"tier": "l2", **of}, answered + round(ended["miss"] + ended["error"]), held)


def _tier(found: _Found, of: Mapping[str, str], reads: int, kept: Held) -> TierForm:
    hits = found.count("gatewayz_cache_requests_total", result=f"hit_{of['tier']}", **of)
    stale = found.count("gatewayz_cache_requests_total", result="stale", **of)
    negative = found.count("gatewayz_cache_requests_total", result="negative", **of)
    seen, ages = _count_and_sum(found, "gatewayz_cache_age_seconds", of)
    answered = hits + stale + negative
    return TierForm(
        hits=hits,
        stale=stale,
        negative=negative,
        misses=reads - answered,
        hit_rate=_share(answered, reads),
        entries=kept[0],
        bytes=kept[1],
        age=AgeForm(seen=seen, mean=ages / seen if seen else None),
    )


def _held(census: Census | None, names: Iterable[str]) -> Held:
    """Entries and bytes in Redis."""
    if census is None:
        return None, None
    shares = [census.shares.get(name, Share(0, 0)) for name in names]
    known = [each.bytes for each in shares if each.bytes is not None]
    return sum(each.entries for each in shares), sum(known) if len(known) == len(shares) else None


def _source(found: _Found, of: Mapping[str, str]) -> SourceForm:
    loads, seconds = _count_and_sum(found, "gatewayz_cache_load_seconds", of)
    return SourceForm(
        loads=loads,
        load_errors=found.count("gatewayz_cache_load_errors_total", **of),
        seconds=seconds,
        mean_seconds=seconds / loads if loads else None,
    )


def _count_and_sum(found: _Found, name: str, of: Mapping[str, str]) -> tuple[int, float]:
    return found.count(f"{name}_count", **of), found.sum(f"{name}_sum", **of)


def _saved(found: _Found, of: Mapping[str, str]) -> dict[str, Any]:
    """Answers tell what they saved; of what else is kept, each hit saved one load of the mean time."""
    name = of.get("entity")
    hits, loads = (found.by("entity", each) for each in ("model_cache_hits_total", "gatewayz_cache_load_seconds_count"))
    took = found.by("entity", "gatewayz_cache_load_seconds_sum")
    loaded = [each for each in hits if each != CHAT.name and name in (None, each) and loads.get(each)]
    seconds = sum(hits[each] * took[each] / loads[each] for each in loaded)
    usd = 0.0
    if name in (None, CHAT.name):
        seconds += found.sum("gatewayz_responses_saved_seconds_total")
        usd = found.sum("gatewayz_responses_saved_usd_total")
    return {
        "saved_seconds": seconds,
        "saved_usd": dollars(NanoUsd(round(usd * NANO_PER_USD))),
        "saved_is": "measured" if name == CHAT.name else "estimated",
    }


def _redis(found: _Found, census: Census | None) -> RedisForm:
    states = found.by("state", "gatewayz_cache_l2_breaker_state")
    return RedisForm(
        breaker={state: round(count) for state, count in states.items()},
        errors={kind: round(count) for kind, count in found.by("kind", "gatewayz_cache_l2_errors_total").items()},
        keys=census.keys if census is not None else None,
        drawn=census.drawn if census is not None else 0,
        memory_bytes=found.count("gatewayz_redis_memory_bytes") or None,
        memory_limit_bytes=found.count("gatewayz_redis_memory_limit_bytes") or None,
    )


def _invalidations(found: _Found) -> InvalidationsForm:
    confirmed, seconds = _count_and_sum(found, "gatewayz_cache_invalidation_seconds", {})
    return InvalidationsForm(
        count=found.count("model_cache_invalidations_total"),
        mean_seconds=seconds / confirmed if confirmed else None,
        hears_others=bool(found.sum("gatewayz_cache_trusted")),
        losses=found.count("gatewayz_cache_bus_losses_total"),
        unsent=found.count("gatewayz_cache_unsent_invalidations"),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
