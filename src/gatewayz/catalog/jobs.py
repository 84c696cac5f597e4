"""The catalog's work in the background: refreshing before expiry, syncing a list."""

import structlog

from gatewayz.cache.cache import Cache
from gatewayz.catalog.errors import ListRefused
from gatewayz.catalog.service import CatalogService
from gatewayz.catalog.sync import CatalogSync, ListToSync, SyncReport

log = structlog.get_logger("gatewayz.catalog")


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
