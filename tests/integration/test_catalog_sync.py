"""Lists into a real PostgreSQL, and what the cache says of it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support.gateway import listed, listing, parts_of, settings_for
from tests.support.list_server import ListServer
from tests.support.patience import PATIENCE

from gatewayz.app import Parts, catalog_sync, lists_to_sync
from gatewayz.catalog.errors import ListTooShort, PricesImplausible
from gatewayz.catalog.repository import CATALOG, MODEL
from gatewayz.catalog.sync import CatalogSync, ListToSync, SyncReport
from gatewayz.embedded.servers import Servers
from gatewayz.providers.fetch import fetch_listing
from gatewayz.providers.listing import ListedModel, Listing
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.shapes.table import OPENROUTER

TABLES = ("providers", "models", "pricing", "unique_models", "unique_model_offers")


@pytest.fixture
async def parts(servers: Servers, migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts_of(settings_for(servers, migrated_database_url, tmp_path)) as parts:
        if parts.redis is not None:
            await (await parts.redis.lines.home("")).flushdb()
        yield parts


@pytest.fixture
def sync(parts: Parts) -> CatalogSync:
    return catalog_sync(parts, {})


def rows(count: int, prompt: str = "0.000001", start: int = 0) -> tuple[ListedModel, ...]:
    return tuple(listed(f"model-{number}", prompt) for number in range(start, start + count))


async def accept(sync: CatalogSync, *models: ListedModel, provider: str = "acme", **options: Any) -> SyncReport:  # noqa: ANN401
    return await sync.accept(listing(provider, *models), name="Acme", source=options.pop("source", "live"), **options)


async def row_versions(parts: Parts) -> dict[str, list[tuple[Any, ...]]]:
    """Where each row stands and which transaction wrote it: any write shows."""
    return {
        table: [
            tuple(row) for row in await parts.database.fetch(f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1")
        ]
        for table in TABLES
    }


async def active(parts: Parts, provider: str = "acme") -> set[str]:
    found = await parts.database.fetch("SELECT native_id FROM models WHERE provider = $1 AND is_active", provider)
    return {row["native_id"] for row in found}


async def test_a_first_list_is_written_with_prices_and_identities(parts: Parts, sync: CatalogSync) -> None:
    report = await accept(sync, *rows(3), listed("mystery"), listed("free", "0", is_free=True))
    assert (report.listed, report.written, report.missing, report.error) == (5, 5, 0, None)
    catalog = await parts.cache.get(CATALOG)
    assert catalog is not None
    prices = {offer.native_id: offer.pricing.prompt for offer in catalog.offers}
    assert prices["model-0"] == Decimal("0.000001")
    assert prices["mystery"] is None
    assert prices["free"] == 0
    assert [record.slug for record in catalog.providers] == ["acme"]


async def test_the_same_list_again_writes_not_one_row_and_invalidates_nothing(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(20))
    before = await row_versions(parts)
    catalog = await parts.cache.get(CATALOG)
    report = await accept(sync, *rows(20))
    assert report.is_unchanged
    assert await row_versions(parts) == before
    assert parts.cache.peek(CATALOG) is catalog


async def test_only_the_rows_that_changed_are_written(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(20))
    before = await row_versions(parts)
    report = await accept(sync, *rows(1, "0.000002"), *rows(19, start=1), listed("new"))
    assert (report.written, report.missing) == (2, 0)
    after = await row_versions(parts)
    for table in ("models", "pricing"):
        assert len(set(after[table]) - set(before[table])) == 2
    assert len(set(after["unique_models"]) - set(before["unique_models"])) == 1


async def test_a_model_missing_three_times_is_inactive_until_it_is_listed_again(
    parts: Parts, sync: CatalogSync
) -> None:
    await accept(sync, *rows(5))
    for times in (1, 2):
        assert (await accept(sync, *rows(4))).missing == 1
        assert "model-4" in await active(parts), times
    await accept(sync, *rows(4))
    assert "model-4" not in await active(parts)
    assert await parts.catalog.find_offers("acme/model-4") == ()
    before = await row_versions(parts)
    assert (await accept(sync, *rows(4))).is_unchanged
    assert await row_versions(parts) == before
    assert (await accept(sync, *rows(5))).written == 1
    assert "model-4" in await active(parts)
    assert len(await parts.catalog.find_offers("acme/model-4")) == 1


async def test_a_model_that_comes_back_in_time_starts_to_count_anew(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(5))
    for _ in range(3):
        await accept(sync, *rows(4))
        await accept(sync, *rows(4))
        await accept(sync, *rows(5))
    assert "model-4" in await active(parts)


async def test_a_much_shorter_list_is_refused_and_the_last_good_one_kept(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(20))
    before = await row_versions(parts)
    for short in (rows(9), rows(1), ()):
        with pytest.raises(ListTooShort):
            await accept(sync, *short)
    assert await row_versions(parts) == before
    assert (await accept(sync, *rows(10))).missing == 10
    assert len(await active(parts)) == 20


async def test_a_short_list_is_taken_if_somebody_says_so_but_never_an_empty_one(
    parts: Parts, sync: CatalogSync
) -> None:
    await accept(sync, *rows(20))
    assert (await accept(sync, *rows(2), accept_short=True)).missing == 18
    with pytest.raises(ListTooShort):
        await accept(sync, accept_short=True)
    assert len(await active(parts)) == 20


async def test_a_first_live_list_may_be_shorter_than_the_offline_one(sync: CatalogSync) -> None:
    await accept(sync, *rows(40), source="offline")
    assert (await accept(sync, *rows(5))).missing == 35


async def test_a_list_in_a_wrong_unit_is_refused_as_a_whole(parts: Parts, sync: CatalogSync) -> None:
    names = [f"author/model-{number}" for number in range(30)]
    for provider in ("one", "two"):
        await accept(sync, *(listed(name, "0.000001") for name in names), provider=provider)
    before = await row_versions(parts)
    with pytest.raises(PricesImplausible):
        await accept(sync, *(listed(name, "0.001") for name in names))
    assert await row_versions(parts) == before
    assert (await accept(sync, *(listed(name, "0.00025") for name in names))).written == 30


async def test_one_wrong_price_becomes_unknown_and_is_reported(parts: Parts, sync: CatalogSync) -> None:
    for provider in ("one", "two"):
        await accept(sync, listed("author/model", "0.000001"), provider=provider)
    report = await accept(sync, listed("author/model", "0.001"))
    assert {row.reason for row in report.refused} == {"price_implausible"}
    assert {offer.provider: offer.pricing.prompt for offer in await parts.catalog.find_offers("author/model")} == {
        "one": Decimal("0.000001"),
        "two": Decimal("0.000001"),
        "acme": None,
    }


async def test_two_rows_of_one_provider_are_no_median(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, listed("author/Model", "0.0000001"), listed("author/model", "0.0000001"), provider="one")
    assert not (await accept(sync, listed("author/model", "0.001"))).refused
    assert len(await parts.catalog.find_offers("author/model")) == 3


@pytest.mark.parametrize("mode", ["500", "401", "truncated", "cut-off", "html", "empty", "no-rows"])
async def test_a_broken_list_from_the_network_is_reported_and_changes_nothing(
    parts: Parts, sync: CatalogSync, mode: str
) -> None:
    async with ListServer().running() as server:

        def at(path: str) -> ListToSync:
            source = ListSource(shape=OPENROUTER)
            provider = Provider(slug="acme", name="Acme", base_url=f"{server.url}{path}", listing=source)
            return ListToSync("acme", "Acme", lambda: fetch_listing(parts.http, provider, "sk-acme-secret"))

        assert (await sync.sync(at("/openrouter"))).error is None
        before = await row_versions(parts)
        report = await sync.sync(at(f"/failing/{mode}"))
        assert report.error is not None
        assert "acme" in report.error
        assert "sk-acme-secret" not in report.error
        assert await row_versions(parts) == before


async def test_a_failure_in_the_middle_leaves_the_old_catalog_whole(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(20))
    before = await row_versions(parts)
    await parts.database.fetch(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'out of order'; END $$"
    )
    await parts.database.fetch(
        "CREATE TRIGGER refuse BEFORE INSERT ON unique_model_offers FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await accept(sync, *rows(20, "0.000002"), listed("new"))
    assert await row_versions(parts) == before

    async def fetch() -> Listing:
        return listing("acme", *rows(20, "0.000002"), listed("new"))

    report = await sync.sync(ListToSync("acme", "Acme", fetch))
    assert report.error == "the database refused the list: out of order"
    await parts.database.fetch("DROP TRIGGER refuse ON unique_model_offers")
    assert (await accept(sync, *rows(20, "0.000002"), listed("new"))).written == 21


async def test_a_connection_that_dies_in_the_middle_leaves_the_old_catalog_whole(
    parts: Parts, sync: CatalogSync, migrated_database_url: str
) -> None:
    await accept(sync, *rows(20))
    before = await row_versions(parts)
    killer = await asyncpg.connect(migrated_database_url)
    try:
        async with killer.transaction():
            await killer.execute("LOCK TABLE unique_model_offers IN SHARE MODE")  # the last table that a sync writes
            syncing = asyncio.create_task(accept(sync, *rows(20, "0.000002")))
            pid = None
            async with asyncio.timeout(PATIENCE):
                while pid is None:
                    pid = await killer.fetchval("SELECT pid FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")
            await killer.execute("SELECT pg_terminate_backend($1)", pid)
            report = await asyncio.gather(syncing, return_exceptions=True)
    finally:
        await killer.close()
    assert "the database does not answer" in str(report[0])
    assert await row_versions(parts) == before
    assert (await accept(sync, *rows(20, "0.000002"))).written == 20


async def test_an_offline_list_never_replaces_a_live_one(parts: Parts, sync: CatalogSync) -> None:
    await accept(sync, *rows(3, "0.000002"), source="offline")
    await accept(sync, *rows(3, "0.000001"))
    before = await row_versions(parts)
    report = await accept(sync, *rows(9, "0.000005"), source="offline")
    assert report.written == 0
    assert await row_versions(parts) == before


async def test_a_live_list_that_only_confirms_the_offline_one_still_counts_as_live(
    parts: Parts, sync: CatalogSync
) -> None:
    await accept(sync, *rows(3), source="offline")
    await accept(sync, *rows(3))
    await accept(sync, *rows(3, "0.000005"), source="offline")
    (first, *_) = await parts.catalog.find_offers("acme/model-0")
    assert first.pricing.prompt == Decimal("0.000001")


async def test_a_live_list_without_prices_keeps_the_offline_ones(parts: Parts) -> None:
    offline = Listing(provider="acme", models=(listed("Model-A", "0.000003", name="A"),))
    sync = catalog_sync(parts, {"acme": offline})
    await sync.accept(offline, name="Acme", source="offline")
    await accept(sync, listed("Model-A"), listed("model-b"))
    prices = {
        row["native_id"]: row["prompt"]
        for row in await parts.database.fetch("SELECT native_id, prompt FROM models JOIN pricing ON model_id = id")
    }
    assert prices == {"Model-A": Decimal("0.000003"), "model-b": None}


async def test_a_dry_run_reports_and_writes_nothing(parts: Parts, sync: CatalogSync) -> None:
    before = await row_versions(parts)
    report = await accept(sync, *rows(7), dry_run=True)
    assert report.written == 7
    assert await row_versions(parts) == before
    await accept(sync, *rows(7))
    catalog = await parts.cache.get(CATALOG)
    before = await row_versions(parts)
    report = await accept(sync, *rows(6), listed("new"), dry_run=True)
    assert (report.written, report.missing) == (1, 1)
    assert await row_versions(parts) == before
    assert parts.cache.peek(CATALOG) is catalog


async def test_syncs_of_one_provider_at_once_follow_each_other(parts: Parts, sync: CatalogSync) -> None:
    reports = await asyncio.gather(*(accept(sync, *rows(50)) for _ in range(5)))
    assert sorted(report.written for report in reports) == [0, 0, 0, 0, 50]
    assert len(await active(parts)) == 50


async def test_syncs_of_many_providers_at_once_share_their_unique_models(parts: Parts, sync: CatalogSync) -> None:
    models = tuple(listed(f"author/model-{number}", "0.000001") for number in range(40))
    providers = [f"p{number}" for number in range(8)]
    await asyncio.gather(
        *(
            accept(sync, *(models if number % 2 else models[::-1]), provider=provider)
            for number, provider in enumerate(providers)
        )
    )
    snapshot = await parts.catalog.snapshot()
    assert len(snapshot.offers) == 320
    assert {entry.provider_count for entry in snapshot.uniques} == {8}


async def test_a_sync_reaches_the_snapshot_and_the_models_of_another_worker(parts: Parts, sync: CatalogSync) -> None:
    async with parts_of(parts.settings) as other:
        await accept(sync, *rows(3))
        before = await other.catalog.snapshot()
        assert other.catalog.peek() is before
        assert len(await other.catalog.find_offers("acme/model-0")) == 1
        assert await other.cache.get(MODEL, "acme/new") is None
        invalidated = asyncio.Event()
        other.cache.on_invalidated(CATALOG, invalidated.set)
        await accept(sync, *rows(3, "0.000002"), listed("new"))
        async with asyncio.timeout(PATIENCE):
            await invalidated.wait()
        assert other.catalog.peek() is None
        after = await other.catalog.snapshot()
        assert after.version != before.version
        assert len(after.offers) == 4
        assert len(before.offers) == 3
        assert [offer.pricing.prompt for offer in await other.catalog.find_offers("acme/model-0")] == [
            Decimal("0.000002")
        ]
        assert len(await other.catalog.find_offers("acme/new")) == 1


async def test_whoever_asks_for_an_impossible_name_gets_nothing_and_asks_no_database(parts: Parts) -> None:
    for name in ("", "a\0b", "x" * 10_000, "\n"):
        assert await parts.catalog.find_offers(name) == (), name


async def test_a_changed_name_of_a_model_and_a_second_spelling_are_one_unique_model(
    parts: Parts, sync: CatalogSync
) -> None:
    await accept(sync, listed("Author/Model-7B", "0.000001"), provider="one")
    await accept(sync, listed("author/model-7b", "0.000001"), listed("author/model-22b", "0.000001"), provider="two")
    snapshot = await parts.catalog.snapshot()
    assert sorted(entry.provider_count for entry in snapshot.uniques) == [1, 2]


async def test_the_demo_provider_lists_without_any_network(parts: Parts, sync: CatalogSync) -> None:
    (demo,) = [wanted for wanted in lists_to_sync(parts) if wanted.slug == "demo"]
    assert (await sync.sync(demo)).error is None
    assert [offer.provider for offer in await parts.catalog.find_offers("demo/echo")] == ["demo"]
