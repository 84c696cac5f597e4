"""The cache asked over HTTP, by those who may."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.fleet import psql
from tests.support.gateway import RunningGateway, parts_of, running_gateway

from gatewayz.accounts.scopes import ADMIN, INFERENCE
from gatewayz.app import ENTITIES
from gatewayz.embedded.servers import Servers

EXPLAIN = "/api/system/cache/explain"
STATS = "/api/system/cache/stats"
STATUS = "/admin/cache-status"


@pytest.fixture(scope="module")
async def small_gateway(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One for all these tests, which change nothing."""
    async with running_gateway(servers, tmp_path_factory.mktemp("asked")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
async def admin(small_gateway: RunningGateway) -> AsyncIterator[str]:
    async with parts_of(small_gateway.settings) as parts:
        yield (await parts.keys.create(name="admin", account="admin", scopes=(ADMIN, INFERENCE))).secret


async def ask(gateway: RunningGateway, path: str, key: str | None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with gateway.client(**headers) as client, client.get(gateway.at(path)) as response:
        assert response.headers["x-request-id"]
        return response.status, await response.json()


@pytest.mark.parametrize("path", [STATS, STATUS, f"{EXPLAIN}?entity=models:stats"])
async def test_only_the_admin_key_is_let_in(small_gateway: RunningGateway, admin: str, path: str) -> None:
    for key, status, code in (
        (None, 401, "invalid_api_key"),
        ("gw_live_nobody", 401, "invalid_api_key"),
        (small_gateway.api_key, 403, "insufficient_permissions"),
    ):
        answered, body = await ask(small_gateway, path, key)
        assert (answered, body["error"]["code"]) == (status, code)
    assert (await ask(small_gateway, path, admin))[0] == 200


async def test_a_key_is_explained_tier_by_tier(small_gateway: RunningGateway, admin: str) -> None:
    async with small_gateway.client() as client:
        assert (await client.get(small_gateway.at("/v1/models"))).status == 200
    status, body = await ask(small_gateway, f"{EXPLAIN}?entity=models:catalog:full&key=", admin)
    assert (status, body["worker"], body["entity"], body["key"]) == (200, os.getpid(), "models:catalog:full", "")
    assert (body["l1"]["state"], body["l1"]["is_hit"]) == ("fresh", True)
    assert "fresh for another" in body["l1"]["why"]
    assert body["key_form"] == "empty: the entity has one value"
    assert {"generations", "lease", "floor", "last_invalidation", "learned_ttl"} <= body.keys()
    status, body = await ask(small_gateway, f"{EXPLAIN}?entity=models:provider&key=nobody", admin)
    assert (body["l1"]["state"], body["key_form"]) == ("none", "slug, as it is")


async def test_an_unknown_entity_is_not_found_and_the_nearest_are_named(
    small_gateway: RunningGateway, admin: str
) -> None:
    status, body = await ask(small_gateway, f"{EXPLAIN}?entity=models:stat", admin)
    assert (status, body["error"]["code"], body["error"]["param"]) == (404, "not_found", "entity")
    assert "did you mean 'models:stats'" in body["error"]["message"]
    assert all(entity.name in body["error"]["message"] for entity in ENTITIES)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (EXPLAIN, "entity"),
        (f"{EXPLAIN}?entity=models:stats&kee=x", "kee"),
        (f"{STATS}?x=1", "x"),
        (f"{STATUS}?x=1", "x"),
    ],
)
async def test_what_cannot_be_understood_is_refused_by_name(
    small_gateway: RunningGateway, admin: str, path: str, field: str
) -> None:
    status, body = await ask(small_gateway, path, admin)
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_request", field)


async def test_figures_are_by_entity_and_tier(small_gateway: RunningGateway, admin: str) -> None:
    for _ in range(3):
        async with small_gateway.client() as client, client.get(small_gateway.at("/v1/models")) as answer:
            assert answer.status == 200
    status, body = await ask(small_gateway, STATS, admin)
    assert (status, body["worker"]) == (200, os.getpid())
    assert body["workers"] == {"answering": 1, "silent": 0, "of": 1}
    assert body["entities"].keys() == {entity.name for entity in ENTITIES}
    catalog = body["entities"]["models:catalog:full"]
    assert catalog["reads"] == catalog["hits"] + catalog["misses"] >= 3
    assert catalog["source"]["loads"] >= 1
    assert catalog["memory"]["entries"] == 1
    assert catalog["memory"]["bytes"] > 0
    assert catalog["memory"]["age"]["seen"] >= 1
    assert 0 <= catalog["memory"]["age"]["mean"] < 60
    assert catalog["saved_seconds"] > 0
    assert catalog["saved_is"] == "estimated"


async def test_the_sums_are_those_of_the_entities(small_gateway: RunningGateway, admin: str) -> None:
    _, body = await ask(small_gateway, STATS, admin)
    entities, total = body["entities"].values(), body["total"]
    for name in ("reads", "hits", "misses", "stale", "collapsed", "negative", "invalidations"):
        assert total[name] == sum(each[name] for each in entities)
    for tier in ("memory", "redis"):
        for name in ("hits", "misses", "entries"):
            assert total[tier][name] == sum(each[tier][name] for each in entities)
    assert total["saved_seconds"] == pytest.approx(sum(each["saved_seconds"] for each in entities))
    assert 0 < total["hit_rate"] < 1
    assert total["redis"]["entries"] <= body["redis"]["keys"]


async def test_the_glance_says_that_all_is_well(small_gateway: RunningGateway, admin: str) -> None:
    status, body = await ask(small_gateway, STATUS, admin)
    assert (status, body["status"], body["remarks"]) == (200, "ok", [])
    assert body["workers"] == {"answering": 1, "silent": 0, "of": 1}
    assert body["redis"] == {"is_reachable": True, "reason": None}
    assert body["now"]["reads"] >= body["now"]["hits"]
    (worker,) = body["by_worker"]
    assert (worker["worker"], worker["breaker"], worker["hears_others"]) == (os.getpid(), "closed", True)
    assert 0 < worker["fill"] == body["fill"] < 0.1


async def test_the_glance_says_what_waits_and_since_when_it_should_not(
    small_gateway: RunningGateway, admin: str
) -> None:
    async with psql(small_gateway.settings) as database:
        await database.execute(
            "INSERT INTO cache_outbox (entity, keys) "
            "SELECT 'of another version', array[n::text] FROM generate_series(1, 1500) n"
        )
        _, body = await ask(small_gateway, STATUS, admin)
        await database.execute("DELETE FROM cache_outbox")
    assert (body["status"], body["outbox"]) == ("degraded", 1500)
    assert any("1500 changes of rows wait" in each for each in body["remarks"])
