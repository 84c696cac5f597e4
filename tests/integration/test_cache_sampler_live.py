"""The sampler as a worker runs it: a change that nobody was told of is found and put right."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fleet import psql
from tests.support.gateway import RunningGateway, install, serving, settings_for

from gatewayz.catalog.repository import CATALOG
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings

pytestmark = [pytest.mark.alone, pytest.mark.slow]

WITHIN = 60.0  # each check is followed by a rest of fifty times its length, and several come first
LOOK_AGAIN = 0.05


@pytest.fixture
def settings(servers: Servers, migrated_database_url: str, tmp_path: Path) -> Settings:
    made = settings_for(servers, migrated_database_url, tmp_path)
    return made.model_copy(update={"cache": made.cache.model_copy(update={"sampler_rate": 100})})


async def text(gateway: RunningGateway, path: str) -> str:
    async with gateway.client() as client, client.get(gateway.at(path)) as response:
        return await response.text()


async def until(gateway: RunningGateway, path: str, holds: Callable[[str], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not holds(await text(gateway, path)):  # noqa: ASYNC110  what is awaited happens in a worker
            await asyncio.sleep(LOOK_AGAIN)


def total(metrics: str, name: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith(f"gatewayz_cache_sample_{name}")]
    assert lines
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_change_without_its_trigger_is_found_and_put_right(settings: Settings) -> None:
    async with serving(settings, await install(settings)) as gateway:
        assert "Renamed unseen" not in await text(gateway, "/v1/models")
        async with psql(settings) as connection, connection.transaction():
            await connection.execute("ALTER TABLE models DISABLE TRIGGER USER")
            await connection.execute("UPDATE models SET name = 'Renamed unseen' WHERE native_id = 'gpt-4o-mini'")
            await connection.execute("ALTER TABLE models ENABLE TRIGGER USER")
        await until(gateway, "/v1/models", lambda models: "Renamed unseen" in models)
        assert total(await text(gateway, "/metrics"), "violations_total") > 0


async def test_a_catalog_that_nobody_touches_is_found_consistent(settings: Settings) -> None:
    async with serving(settings, await install(settings)) as gateway:
        await text(gateway, "/v1/models")
        await until(gateway, "/metrics", lambda metrics: total(metrics, f'checks_total{{entity="{CATALOG.name}"') >= 2)
        assert total(await text(gateway, "/metrics"), "violations_total") == 0
