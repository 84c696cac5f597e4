"""The jobs that one process does for the whole fleet, each declared once, in one list."""

import functools
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from gatewayz.app import Parts, catalog_sync, lists_to_sync
from gatewayz.catalog.jobs import sync_list
from gatewayz.catalog.removal import remove_inactive
from gatewayz.catalog.sync import CatalogSync, ListToSync
from gatewayz.core.clock import SystemClock
from gatewayz.health.probing import probe_idle
from gatewayz.jobs.holder import Holder
from gatewayz.jobs.model import SYNC, Asked, Job
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.fetch import probe_listing
from gatewayz.providers.listing import Listing
from gatewayz.settings import database_url
from gatewayz.storage.election import lead
from gatewayz.warming import warm_fleet

ROLE = "jobs"

_MINUTE = 60.0
_HOUR = 3600.0


async def hold_jobs(parts: Parts, jobs: Callable[[], list[Job]]) -> None:
    """Wait to be elected, then run these jobs for the fleet until the place is lost. `jobs` is asked by the elected
    only: what a sync needs takes memory. Raises Unavailable.
    """

    async def hold() -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        await Holder(jobs(), parts.jobs, SystemClock(), name=name).hold()

    await lead(database_url(parts.settings), ROLE, hold)


def fleet_jobs(parts: Parts, offline: Mapping[str, Listing]) -> list[Job]:
    syncing = catalog_sync(parts, offline)
    return [
        *(_sync_job(parts, syncing, wanted) for wanted in lists_to_sync(parts)),
        Job(
            name="remove-models",
            description="Remove models that have been inactive for long.",
            every=24 * _HOUR,
            within=10 * _MINUTE,
            work=functools.partial(_remove_models, parts),
            is_eager=True,
        ),
        Job(
            name="forget-answers",
            description="Delete answers kept for Idempotency-Key that are past their time.",
            every=_MINUTE,
            within=10 * _MINUTE,
            work=functools.partial(_forget_answers, parts),
        ),
        Job(
            name="warm-cache",
            description="Load the catalog into the cache that all workers share, and see who of the providers answers.",
            every=6 * _HOUR,
            within=10 * _MINUTE,
            work=functools.partial(_warm_cache, parts),
            is_eager=parts.settings.cache.warm_on_startup,
        ),
        *_probe_jobs(parts),
    ]


def _probe_jobs(parts: Parts) -> list[Job]:
    """None where it is not wanted, or where no worker would hear of it."""
    idle_after = parts.settings.health.probe_idle_after
    if idle_after is None or parts.scripts is None:
        return []
    return [
        Job(
            name="probe-idle",
            description="Ask providers that had no traffic lately for their model list, to see whether they answer.",
            every=idle_after,
            within=10 * _MINUTE,
            work=functools.partial(_probe_idle, parts, idle_after),
            is_eager=True,
        )
    ]


def _sync_job(parts: Parts, syncing: CatalogSync, wanted: ListToSync) -> Job:
    own = parts.settings.providers.get(wanted.slug)
    config = parts.settings.catalog
    return Job(
        name=SYNC + wanted.slug,
        description=f"Bring {wanted.name}'s model list into the catalog.",
        every=(own.sync_interval if own else None) or config.sync_interval,
        within=10 * _MINUTE,
        work=functools.partial(_sync, syncing, wanted),
        can_be_dry=True,
        is_eager=config.sync_on_start,
    )


async def _sync(syncing: CatalogSync, wanted: ListToSync, asked: Asked) -> dict[str, Any]:
    report = await sync_list(syncing, wanted, is_dry=asked.is_dry)
    return {
        "listed": report.listed,
        "written": report.written,
        "missing": report.missing,
        "refused": report.reasons,
    }


async def _remove_models(parts: Parts, _asked: Asked) -> dict[str, Any]:
    return {"removed": await remove_inactive(parts.outbox, days=parts.settings.catalog.remove_after_days)}


async def _forget_answers(parts: Parts, _asked: Asked) -> dict[str, Any]:
    return {"forgotten": await parts.idempotency.forget_expired()}


async def _probe_idle(parts: Parts, idle_after: float, _asked: Asked) -> dict[str, Any]:
    probes = {
        each.provider.slug: functools.partial(_probe, parts, each)
        for each in parts.providers.values()
        if each.enabled and each.provider.listing is not None and (each.api_key or not each.provider.needs_key)
    }
    return await probe_idle(parts.health, probes, SystemClock(), idle_after=idle_after)


async def _probe(parts: Parts, configured: ConfiguredProvider) -> None:
    key = configured.api_key.get_secret_value() if configured.api_key else None
    within = parts.settings.health.probe_within
    await probe_listing(parts.http, configured.provider, key, within=within)


async def _warm_cache(parts: Parts, asked: Asked) -> dict[str, Any]:
    def begins(phase: str) -> None:
        asked.progress = phase

    return await warm_fleet(parts, begins)
