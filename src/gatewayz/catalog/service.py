"""The catalog as the rest of the gateway reads it: always from memory, always of the version the cache vouches for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gatewayz.cache.cache import Cache
from gatewayz.catalog.model import Catalog, CatalogStats, Offer, UniqueModels
from gatewayz.catalog.repository import CATALOG, MODEL, PROVIDER_CATALOG, STATS, UNIQUE_MODELS
from gatewayz.catalog.snapshot import Snapshot
from gatewayz.providers.parse import LONGEST_ID

Sources = tuple[Catalog, UniqueModels, CatalogStats]

# The providers whose catalogs are asked for most, in the order in which they are warmed.
TOP_PROVIDERS = ("openrouter", "anthropic", "openai", "groq", "together", "fireworks", "vercel-ai-gateway")


class CatalogService:
    """Keeps one decoded snapshot per catalog version.

    The snapshot is answered from only while the cache holds the very values it was built of: an invalidation
    is seen by the next call, an expiry is bridged by the stale value while one task refreshes.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._snapshot: Snapshot | None = None
        self._built_of: Sources | None = None
        self._building = asyncio.Lock()

    @property
    def is_warm(self) -> bool:
        """Whether a snapshot, of whatever age, has been built."""
        return self._snapshot is not None

    def peek(self) -> Snapshot | None:
        """The current snapshot if no wait is needed, else None. No I/O, no task: made for the hot path."""
        built_of = self._built_of
        if (
            built_of is not None
            and self._cache.peek(CATALOG) is built_of[0]
            and self._cache.peek(UNIQUE_MODELS) is built_of[1]
            and self._cache.peek(STATS) is built_of[2]
        ):
            return self._snapshot
        return None

    async def snapshot(self) -> Snapshot:
        """The current snapshot, building it if the catalog changed. Raises what the loaders raise."""
        sources = await self._read()
        async with self._building:
            if self._snapshot is None or not _same(sources, self._built_of):
                # Encoding thousands of fragments takes long enough to be kept off the event loop.
                self._snapshot = await asyncio.to_thread(Snapshot, *sources)
            self._built_of = sources
            return self._snapshot

    async def find_offers(self, model: str) -> Sequence[Offer]:
        """Active offers that answer to `model`, a public, unique or provider's own id. Empty if there is none."""
        if len(model) > 2 * LONGEST_ID or not model.isprintable():
            return ()  # nothing listed has such an id, and PostgreSQL refuses some of them
        return await self._cache.get(MODEL, model.lower()) or ()

    async def has_any(self) -> bool:
        """Whether the catalog holds any model at all."""
        stats = await self._cache.refresh(STATS)
        return stats is not None and stats.total_models > 0

    @property
    def warming(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What fills the catalog's entities, phase by phase, each to be called once the one before is done."""
        return {
            "full catalog": lambda: self._cache.get(CATALOG),
            "unique models": self.snapshot,
            "top providers": self._read_top_providers,
        }

    async def _read_top_providers(self) -> None:
        for slug in TOP_PROVIDERS:
            await self._cache.get(PROVIDER_CATALOG, slug)

    async def _read(self) -> Sources:
        catalog = await self._cache.get(CATALOG)
        uniques = await self._cache.get(UNIQUE_MODELS)
        stats = await self._cache.get(STATS)
        if catalog is None or uniques is None or stats is None:
            raise LookupError("the catalog has no value; its loaders always give one")
        return catalog, uniques, stats


def _same(read: Sources, built_of: Sources | None) -> bool:
    if built_of is None:
        return False
    (catalog, uniques, stats), (old_catalog, old_uniques, old_stats) = read, built_of
    return catalog.version == old_catalog.version and uniques.version == old_uniques.version and stats == old_stats
