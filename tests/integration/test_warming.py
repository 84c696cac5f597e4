"""Warming over a real database and Redis, and providers on loopback."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.fleet import fleet
from tests.support.gateway import install, parts_of, settings_for
from tests.support.loopback import served_on_loopback

from gatewayz.app import Parts
from gatewayz.catalog.repository import CATALOG, PROVIDER_CATALOG, STATS, UNIQUE_MODELS
from gatewayz.catalog.service import TOP_PROVIDERS
from gatewayz.embedded.servers import Servers
from gatewayz.fleet_jobs import fleet_jobs
from gatewayz.jobs.model import Asked
from gatewayz.settings import Settings
from gatewayz.warming import warm_fleet, warm_worker

PHASES = ["database", "full catalog", "unique models", "top providers", "provider connections"]


class Provider:
    """What came, by method, path and whether a key was shown, and over which connections."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, bool]] = []
        self.connections: set[object] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, "Authorization" in request.headers))
        self.connections.add(request.transport)
        return web.Response(status=404)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.answer)
    async with served_on_loopback(app) as provider.url:
        yield provider


@pytest.fixture
async def settings(servers: Servers, database_url: str, tmp_path: Path, provider: Provider) -> Settings:
    providers = {
        "acme": {"base_url": f"{provider.url}/v1", "api_key": "of-acme", "models": "acme/rocket"},
        "gone": {"base_url": "http://127.0.0.1:9/v1", "models": "gone/rocket"},
        "off": {"base_url": f"{provider.url}/v1", "models": "off/rocket", "enabled": False},
    }
    settings = settings_for(servers, database_url, tmp_path, providers=providers)
    await install(settings)
    return settings


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with parts_of(settings) as parts:
        yield parts


def loads(parts: Parts) -> dict[str, int]:
    return {name: each.counts.loads for name, each in parts.cache.stats().entities.items()}


async def test_all_phases_are_done_in_their_order_and_the_record_says_how_each_went(parts: Parts) -> None:
    begun: list[str] = []
    record = await warm_fleet(parts, begun.append)
    assert begun == [f"{number} of 5: {name}" for number, name in enumerate(PHASES, 1)]
    assert [re.sub(r" \d+\.\d{3} s$", "", phase) for phase in record["phases"]] == PHASES
    assert record["connections"].keys() == {"acme", "gone"}
    assert record["connections"]["acme"].endswith(" ms")
    assert record["connections"]["gone"] == "ClientConnectorError"


async def test_a_connection_is_opened_by_nothing_that_costs_and_the_next_request_uses_it(
    parts: Parts, provider: Provider
) -> None:
    await warm_fleet(parts, lambda _: None)
    assert provider.asked == [("GET", "/", False)]
    async with parts.http.post(f"{provider.url}/v1/chat/completions") as answer:
        await answer.read()
    assert len(provider.asked) == 2
    assert len(provider.connections) == 1


async def test_one_of_all_who_warm_together_loads_and_the_others_read(settings: Settings) -> None:
    async with fleet(settings, 3) as workers:
        await asyncio.gather(*(warm_worker(each) for each in workers))
        for entity in (CATALOG, UNIQUE_MODELS, STATS):
            assert sum(loads(each)[entity.name] for each in workers) == 1
            assert all(each.cache.peek(entity) is not None for each in workers)
        assert sum(loads(each)[PROVIDER_CATALOG.name] for each in workers) == len(TOP_PROVIDERS)


async def test_the_job_leaves_its_progress_and_its_record(parts: Parts) -> None:
    (job,) = (each for each in fleet_jobs(parts, {}) if each.name == "warm-cache")
    asked = Asked()
    record = await job.work(asked)
    assert asked.progress == "5 of 5: provider connections"
    assert len(record["phases"]) == len(PHASES)
    assert set(record["connections"]) == {"acme", "gone"}
