"""A worker's cache over its own Redis client and bus, joined as the composition root joins them."""

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gatewayz import app
from gatewayz.cache.bus import Bus
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity
from gatewayz.cache.redis_bus import RedisBus
from gatewayz.cache.redis_place import redis_place
from gatewayz.core.clock import SystemClock


@asynccontextmanager
async def worker_cache(
    entities: Iterable[Entity[Any, Any]],
    source: object,
    *,
    redis_url: str,
    database_url: str | None = None,
    seed: int | None = None,
    connect_timeout: float = 0.05,
    **options: Any,  # noqa: ANN401  those of Cache
) -> AsyncIterator[Cache]:
    """Not started yet. Without a database its bus is Redis alone."""
    async with AsyncExitStack() as stack:
        place = redis_place(redis_url, connect_timeout=connect_timeout)
        stack.push_async_callback(place.close)
        bus: Bus = RedisBus(place.lines) if database_url is None else app._bus(database_url, place, "test")
        stack.push_async_callback(bus.close)
        cache = Cache(
            entities, source, clock=SystemClock(), rng=random.Random(seed), redis=place.over, bus=bus, **options
        )
        stack.push_async_callback(cache.close)
        yield cache
