"""The cache asked over HTTP, by those who may."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.gateway import RunningGateway, parts_of

from gatewayz.accounts.scopes import ADMIN, INFERENCE
from gatewayz.app import ENTITIES

EXPLAIN = "/api/system/cache/explain"
STATS = "/api/system/cache/stats"


@pytest.fixture
async def admin(small_gateway: RunningGateway) -> AsyncIterator[str]:
    async with parts_of(small_gateway.settings) as parts:
        yield (await parts.keys.create(name="admin", account="admin", scopes=(ADMIN, INFERENCE))).secret


async def ask(gateway: RunningGateway, path: str, key: str | None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    async with gateway.client(**headers) as client, client.get(gateway.at(path)) as response:
        assert response.headers["x-request-id"]
        return response.status, await response.json()


@pytest.mark.parametrize("path", [STATS, f"{EXPLAIN}?entity=models:stats"])
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
    ("path", "field"), [(EXPLAIN, "entity"), (f"{EXPLAIN}?entity=models:stats&kee=x", "kee"), (f"{STATS}?x=1", "x")]
)
async def test_what_cannot_be_understood_is_refused_by_name(
    small_gateway: RunningGateway, admin: str, path: str, field: str
) -> None:
    status, body = await ask(small_gateway, path, admin)
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_request", field)


async def test_stats_count_by_entity(small_gateway: RunningGateway, admin: str) -> None:
    status, body = await ask(small_gateway, STATS, admin)
    assert (status, body["worker"]) == (200, os.getpid())
    assert body["entities"].keys() == {entity.name for entity in ENTITIES}
    catalog = body["entities"]["models:catalog:full"]
    assert catalog["load_seconds"]["count"] == catalog["counts"]["loads"] >= 1
