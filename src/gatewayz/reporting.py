"""What a worker tells of itself and of what it stands on."""

import os
import socket
from collections.abc import Mapping

from gatewayz.api.health import Check
from gatewayz.app import Parts
from gatewayz.cache.counts import CacheStats
from gatewayz.cache.errors import LoadFailed
from gatewayz.core.clock import Clock
from gatewayz.health.model import State
from gatewayz.health.told import CacheHealth, CatalogHealth, Component, SystemHealth, WorkersHealth
from gatewayz.telemetry.siblings import Siblings

ALIVE = "alive"
"""What siblings ask to see who answers."""


async def alive(_words: bytes) -> bytes:
    return b""


class SystemWatch:
    """`checks`: by the name of what each looks at; the gateway does without those that are not `required`."""

    def __init__(
        self, parts: Parts, checks: Mapping[str, Check], required: frozenset[str], siblings: Siblings, clock: Clock
    ) -> None:
        self._parts = parts
        self._checks = checks
        self._required = required
        self._siblings = siblings
        self._clock = clock

    async def look(self) -> SystemHealth:
        components = [await self._component(name, check) for name, check in self._checks.items()]
        stats, answers = self._parts.cache.stats(), await self._siblings.ask(ALIVE)
        return SystemHealth(
            told_at=self._clock.now(),
            told_by=f"{socket.gethostname()}:{os.getpid()}",
            status=_worst(components),
            components=tuple(components),
            cache=_cache_health(stats),
            catalog=await self._catalog(),
            workers=WorkersHealth(len(answers.told), len(answers.silent)),
            is_shared=self._parts.health.is_shared,
        )

    async def _component(self, name: str, check: Check) -> Component:
        reason = await check()
        if reason is None:
            return Component(name=name, status=State.HEALTHY)
        status = State.DOWN if name in self._required else State.DEGRADED
        return Component(name=name, status=status, reason=reason)

    async def _catalog(self) -> CatalogHealth | None:
        try:
            snapshot = await self._parts.catalog.snapshot()
        except LoadFailed:
            return None  # its component says why
        changes = [record.changed_at or 0 for record in snapshot.providers.values()]
        return CatalogHealth(
            models=snapshot.stats.total_models, version=snapshot.version, changed_at=max(changes, default=None)
        )


def _worst(components: list[Component]) -> State:
    found = {each.status for each in components}
    return next((state for state in (State.DOWN, State.DEGRADED) if state in found), State.HEALTHY)


def _cache_health(stats: CacheStats) -> CacheHealth:
    samples = None
    if stats.samples is not None:
        samples = [tier for each in stats.samples.entities.values() for tier in (each.l1, each.l2)]
    return CacheHealth(
        redis=str(stats.l2),
        hears_invalidations=stats.trusted,
        unsent=stats.unsent,
        checks=None if samples is None else sum(each.checks for each in samples),
        violations=None if samples is None else sum(each.violations for each in samples),
    )
