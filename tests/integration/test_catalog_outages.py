"""The catalog while PostgreSQL or Redis is away, over real HTTP."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from tests.support.gateway import RunningGateway, install, serving, settings_for
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.servers import embedded_for_tests, short_directory

from gatewayz.embedded.servers import Servers, embedded_servers

pytestmark = [pytest.mark.alone, pytest.mark.slow]

CHAT = b'{"model": "demo/echo", "messages": [{"role": "user", "content": "Hi"}]}'


class Place(Struct, frozen=True):
    """Servers of one test's own. PostgreSQL keeps its data in `data`."""

    servers: Servers
    data: Path

    def stop_postgres(self) -> None:
        """The postmaster is ours: its id stands in the data directory made for this test."""
        pid_file = self.data / "postgres" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGQUIT)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with short_directory() as directory, embedded_for_tests(directory) as servers:
        yield Place(servers, directory / "data")


@pytest.fixture
def redis() -> Any:  # noqa: ANN401  a generator for pytest
    with own_redis() as server:
        yield server


async def get(gateway: RunningGateway, path: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with gateway.client(**headers) as client, client.get(gateway.at(path)) as response:
        return response.status, json.loads(await response.read())


async def chat(gateway: RunningGateway, key: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        gateway.client(**headers) as client,
        client.post(gateway.at("/v1/chat/completions"), data=CHAT) as response,
    ):
        return response.status, json.loads(await response.read())


async def test_with_postgres_stopped_the_catalog_answers_and_readiness_says_so(place: Place, tmp_path: Path) -> None:
    url = place.servers.database_url
    assert url is not None
    settings = settings_for(place.servers, url, tmp_path)
    async with serving(settings, await install(settings)) as gateway:
        assert (await chat(gateway, gateway.api_key))[0] == 200
        _, before = await get(gateway, "/v1/models")
        place.stop_postgres()
        health = await gateway.until_health(503, "unavailable")
        assert health["checks"]["database"]["status"] == "failed"
        assert "DATABASE_URL" in health["checks"]["database"]["reason"]
        assert health["checks"]["catalog"]["status"] == "ok"
        assert await get(gateway, "/v1/models") == (200, before)
        for never_asked in ("/v1/models?limit=2&offset=1", "/v1/models/unique?sort_by=name", "/v1/catalog/stats"):
            assert (await get(gateway, never_asked))[0] == 200
        assert (await get(gateway, "/health")) == (200, {"status": "ok"})
        # A key that nobody can look up is neither right nor wrong.
        status, body = await chat(gateway, "gw_live_never_seen")
        assert (status, body["error"]["code"]) == (503, "service_unavailable")
        status, body = await get(gateway, "/api/system/cache/stats", "gw_live_never_seen")
        assert (status, body["error"]["code"]) == (503, "service_unavailable")
        with embedded_servers(place.data, postgres=True, redis=False):
            await gateway.until_health(200, "ok")
            assert (await chat(gateway, gateway.api_key))[0] == 200
            assert (await chat(gateway, "gw_live_never_seen"))[0] == 401


async def test_a_worker_that_starts_before_its_database_becomes_ready_by_itself(place: Place, tmp_path: Path) -> None:
    url = place.servers.database_url
    assert url is not None
    settings = settings_for(Servers(database_url=url), url, tmp_path)
    api_key = await install(settings)
    place.stop_postgres()
    async with serving(settings, api_key, is_ready=False) as gateway:
        health = await gateway.until_health(503, "unavailable")
        assert health["checks"]["catalog"] == {"status": "failed", "reason": "the catalog is not loaded yet"}
        status, body = await get(gateway, "/v1/models")
        assert (status, body["error"]["code"]) == (503, "service_unavailable")
        status, body = await get(gateway, "/api/system/cache/stats", "gw_live_never_seen")
        assert (status, body["error"]["code"]) == (503, "service_unavailable")
        with embedded_servers(place.data, postgres=True, redis=False):
            await gateway.until_health(200, "ok")
            assert (await get(gateway, "/v1/models"))[0] == 200


async def test_with_redis_stopped_everything_answers_and_readiness_says_degraded(
    database_url: str, redis: OwnRedis, tmp_path: Path
) -> None:
    settings = settings_for(Servers(redis_url=redis.url), database_url, tmp_path)
    async with serving(settings, await install(settings)) as gateway:
        assert (await chat(gateway, gateway.api_key))[0] == 200
        redis.kill()
        health = await gateway.until_health(200, "degraded")
        assert health["checks"]["redis"]["status"] == "failed"
        assert health["checks"]["database"]["status"] == health["checks"]["catalog"]["status"] == "ok"
        assert (await get(gateway, "/v1/models?limit=3"))[0] == 200
        assert (await chat(gateway, gateway.api_key))[0] == 200
        assert (await chat(gateway, "gw_live_never_seen"))[0] == 401
        redis.start()
        await gateway.until_health(200, "ok")


async def test_a_worker_whose_database_does_not_exist_says_unavailable(database_url: str, tmp_path: Path) -> None:
    url = database_url.replace("/test_", "/gone_")
    async with serving(settings_for(Servers(), url, tmp_path), is_ready=False) as gateway:
        status, health = await gateway.health()
        assert (status, health["checks"]["database"]["status"]) == (503, "failed")
        assert (await get(gateway, "/v1/models"))[0] == 503
