"""The catalog's work in the background: warming at start, refreshing before expiry, syncing a list."""

import asyncio

import structlog

from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import LoadFailed
from gatewayz.catalog.errors import ListRefused
from gatewayz.catalog.service import CatalogService
from gatewayz.catalog.sync import CatalogSync, ListToSync, SyncReport

log = structlog.get_logger("gatewayz.catalog")


async def warm(catalog: CatalogService) -> None:
    """Fill the catalog's entities, trying again until it is done: the database may come up after the worker."""
    delay = 0.25
    while True:
        try:
            async for phase in catalog.warm():
                log.debug("warming", phase=phase)
        except LoadFailed as error:
            log.warning("warming_waits", reason=str(error.__cause__), again_in=delay)
        else:
            log.debug("warm")
            return
        await asyncio.sleep(delay)
        delay = min(2 * delay, 5.0)


async def refresh(cache: Cache, catalog: CatalogService) -> None:
    """Load anew what is due, and have the snapshot built before a request needs it."""
    if await cache.refresh_due():
        await catalog.snapshot()


async def sync_list(sync: CatalogSync, wanted: ListToSync, *, is_dry: bool) -> SyncReport:
    """Sync one provider's list, and log what came of it. Raises ListRefused where it was refused."""
    report = await sync.sync(wanted, dry_run=is_dry)
    _log_report(report)
    if report.error is not None:
        raise ListRefused(report.error)
    return report


def _log_report(report: SyncReport) -> None:
    if report.error is not None:
        log.warning("sync_refused", provider=report.provider, reason=report.error)
    elif not report.is_unchanged:
        log.info(
            "synced",
            provider=report.provider,
            listed=report.listed,
            written=report.written,
            missing=report.missing,
            refused=report.reasons,
        )
