"""One provider's list into the catalog: normalise, gate, compare, write what changed."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Literal

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.catalog.config import CatalogConfig
from gatewayz.catalog.errors import ListTooShort
from gatewayz.catalog.list_writer import (
    Change,
    Known,
    ListRow,
    content_hash,
    count_missing,
    difference,
    lock_provider,
    read_known,
    read_medians,
    write_offers,
    write_provider,
)
from gatewayz.catalog.offers import index_by_native_id, offers_from
from gatewayz.catalog.sanity import Gate
from gatewayz.core.errors import GatewayzError
from gatewayz.providers.listing import ListedModel, Listing, RefusedRow, by_reason
from gatewayz.storage.outbox import Outbox

Fetch = Callable[[], Awaitable[Listing]]
Source = Literal["offline", "live"]

# Below this many listed models a provider is too small for a share to mean anything.
_TOO_FEW_TO_COMPARE = 10


class SyncReport(Struct, frozen=True, kw_only=True):
    """What one sync did. `error` says why nothing was accepted; `refused` are rows or prices left out."""

    provider: str
    listed: int = 0
    written: int = 0
    missing: int = 0
    refused: tuple[RefusedRow, ...] = ()
    error: str | None = None

    @property
    def is_unchanged(self) -> bool:
        return not (self.written or self.missing or self.error)

    @property
    def reasons(self) -> dict[str, int]:
        return by_reason(self.refused)


class ListToSync(Struct, frozen=True):
    """A provider whose list can be had: `fetch` raises GatewayzError when the provider does not give one."""

    slug: str
    name: str
    fetch: Fetch


class CatalogSync:
    """Writes accepted lists. Syncs of one provider exclude each other over all processes; each is one transaction."""

    def __init__(
        self,
        outbox: Outbox,
        config: CatalogConfig,
        offline: Mapping[str, Listing],
    ) -> None:
        self._outbox = outbox
        self._config = config
        self._offline = offline
        self._gate = Gate(max_ratio=Decimal(config.max_price_ratio), max_price=Decimal(str(config.max_price)))

    async def sync(self, wanted: ListToSync, *, accept_short: bool = False, dry_run: bool = False) -> SyncReport:
        """Fetch and accept one provider's list. Never raises for the provider's faults: the report names them."""
        try:
            listing = await wanted.fetch()
            return await self.accept(
                listing, name=wanted.name, source="live", accept_short=accept_short, dry_run=dry_run
            )
        except GatewayzError as error:
            return SyncReport(provider=wanted.slug, error=error.message)
        except (asyncpg.PostgresError, asyncpg.DataError) as error:
            # A row that the schema refuses must not keep the providers after this one from being synced.
            return SyncReport(provider=wanted.slug, error=f"the database refused the list: {error}")

    async def accept(
        self,
        listing: Listing,
        *,
        name: str,
        source: Source,
        accept_short: bool = False,
        dry_run: bool = False,
    ) -> SyncReport:
        """Write what the list changes. Raises ListRefused, with nothing written, when it cannot be believed.

        An offline list never replaces what a live one said. Once this returns, no worker serves what it replaced.
        """
        async with self._outbox.transaction() as connection:
            present = await lock_provider(connection, listing.provider)
            if source == "offline" and present == "live":
                return SyncReport(provider=listing.provider, listed=len(listing.models))
            known = await read_known(connection, listing.provider)
            if not listing.models:
                raise ListTooShort(f"{listing.provider!r} listed no usable model; the known {len(known)} are kept")
            # Offline rows are no list of the provider's: its own first list may well be shorter.
            if present == source and not accept_short:
                self._refuse_short(listing, known)
            report, change = await self._compare(connection, listing, known)
            if dry_run:
                return report
            await count_missing(connection, listing.provider, change.missing, self._config.missing_limit)
            if change.is_visible or present != source:
                # Also where no row differs: from now on no offline list replaces what a live one said.
                await write_provider(connection, listing.provider, name, source)
            if change.written:
                await write_offers(connection, listing.provider, change.written)
        return report

    async def _compare(
        self, connection: PoolConnectionProxy, listing: Listing, known: Mapping[str, Known]
    ) -> tuple[SyncReport, Change]:
        entries = offers_from(listing, self._offline_rows(listing.provider))
        medians = await read_medians(connection, listing.provider)
        offers, implausible = self._gate.check({key: offer for key, (offer, _) in entries.items()}, medians)
        rows = {key: ListRow(offer, entries[key][1], content_hash(offer)) for key, offer in offers.items()}
        change = difference(known, rows, self._config.missing_limit)
        report = SyncReport(
            provider=listing.provider,
            listed=len(listing.models),
            written=len(change.written),
            missing=len(change.missing),
            refused=(*listing.refused, *implausible),
        )
        return report, change

    def _refuse_short(self, listing: Listing, known: Mapping[str, Known]) -> None:
        last = sum(row.is_active and not row.missing_count for row in known.values())
        if last >= _TOO_FEW_TO_COMPARE and len(listing.models) < last * self._config.min_list_share:
            raise ListTooShort(
                f"{listing.provider!r} listed {len(listing.models)} models where it listed {last} before; the last "
                "good list is kept. If the provider really dropped them: "
                f"`gatewayz sync {listing.provider} --accept-short`"
            )

    def _offline_rows(self, slug: str) -> Mapping[str, ListedModel]:
        listing = self._offline.get(slug)
        return index_by_native_id(listing.models) if listing else {}
