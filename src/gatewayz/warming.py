"""Warming at start, phase by phase: nobody shall wait for what the first request would have to load.

Every worker goes through it, as each has a memory and connections of its own. What they share, one of them loads under
leases, and the others read; so does the process that holds the jobs, which keeps the record of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog
from msgspec import Struct

from gatewayz.app import Parts
from gatewayz.cache.errors import LoadFailed
from gatewayz.core.errors import Unavailable
from gatewayz.providers.connections import open_connections
from gatewayz.providers.dialects.table import DIALECTS

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0

log = structlog.get_logger("gatewayz.warming")

Work = Callable[[], Awaitable[object]]


class Phase(Struct, frozen=True):
    """`said`: what came of it, for people; None where that is nothing."""

    number: int
    of: int
    name: str
    seconds: float
    said: object | None

    def __str__(self) -> str:
        return f"{self.number} of {self.of}: {self.name}"


async def warming(parts: Parts, begins: Callable[[str], object]) -> AsyncIterator[Phase]:
    """Do the phases one after the other; `begins` is called with each one's number and name, as "2 of 5: full catalog".

    Raises LoadFailed and Unavailable where the database is away. A provider that cannot be reached is told of.
    """
    works = _works(parts)
    for number, (name, work) in enumerate(works.items(), 1):
        begins(f"{number} of {len(works)}: {name}")
        began = time.monotonic()
        said = await work()
        yield Phase(number, len(works), name, time.monotonic() - began, said)


def _works(parts: Parts) -> Mapping[str, Work]:
    async def database() -> None:
        await parts.database.fetch_value("SELECT 1")

    return {"database": database, **parts.catalog.warming, "provider connections": lambda: _connected(parts)}


async def _connected(parts: Parts) -> dict[str, str]:
    """By provider how long it took, or why there is none."""
    spoken = [
        each.provider
        for each in parts.providers.values()
        if each.enabled and DIALECTS[each.provider.dialect].speak is not None
    ]
    told: dict[str, str] = {}
    async for opened in open_connections(parts.http, spoken):
        took = opened.seconds
        told[opened.provider] = f"{1000 * took:.0f} ms" if took is not None else (opened.reason or "")
    return dict(sorted(told.items()))


async def warm_worker(parts: Parts) -> None:
    """All phases, trying again until they are done: the database may come up after the worker."""
    pause, began = _FIRST_PAUSE, time.monotonic()
    while True:
        try:
            async for phase in warming(parts, lambda phase: log.debug("warming", phase=phase)):
                log.debug("warmed", phase=str(phase), seconds=round(phase.seconds, 3), said=phase.said)
        except (LoadFailed, Unavailable) as error:
            log.warning("warming_waits", reason=str(error.__cause__ or error), again_in=pause)
        else:
            log.info("warm", seconds=round(time.monotonic() - began, 3))
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def warm_fleet(parts: Parts, begins: Callable[[str], object]) -> dict[str, Any]:
    """All phases once, for the record: how long each took, and who of the providers answers. Raises as `warming`."""
    phases: list[str] = []
    connections: object = {}
    async for phase in warming(parts, begins):
        log.info("warmed", phase=str(phase), seconds=round(phase.seconds, 3))
        phases.append(f"{phase.name} {phase.seconds:.3f} s")
        connections = phase.said or connections
    return {"phases": phases, "connections": connections}
