"""Asks providers of which nothing was heard lately something that costs nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gatewayz.core.clock import Clock
from gatewayz.core.errors import GatewayzError
from gatewayz.health.fleet import FleetHealth

MOST_AT_ONCE = 4

Probe = Callable[[], Awaitable[None]]
"""Raises a GatewayzError that says what is wrong."""


async def probe_idle(
    health: FleetHealth, probes: Mapping[str, Probe], clock: Clock, *, idle_after: float
) -> dict[str, Any]:
    """Probe those of the providers, by slug, of which no worker has heard for so many seconds, and tell all workers.
    What came of it: who answered, and who did not and why. Who is left alone is left alone by this, too.
    """
    await health.exchange()
    at_once = asyncio.Semaphore(MOST_AT_ONCE)
    failed: dict[str, str] = {}

    async def probe(slug: str) -> None:
        async with at_once:
            try:
                await probes[slug]()
            except GatewayzError as error:
                failed[slug] = error.message
        health.probed(slug, is_well=slug not in failed)

    idle = [slug for slug in probes if _is_idle(health, slug, clock.now(), idle_after)]
    async with asyncio.TaskGroup() as together:
        for slug in idle:
            together.create_task(probe(slug))
    await health.exchange()
    return {"well": sorted(set(idle) - failed.keys()), "failed": dict(sorted(failed.items()))}


def _is_idle(health: FleetHealth, slug: str, now: float, idle_after: float) -> bool:
    figures = health.figures_of(slug)
    return figures is None or (now - figures.at >= idle_after and figures.left_alone_until <= now)
