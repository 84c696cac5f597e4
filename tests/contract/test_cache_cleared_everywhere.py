"""Clearing and warming over four workers of a real `gatewayz serve`: what is answered holds in each of them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.patience import PATIENCE
from tests.support.served import Served, served
from tests.support.servers import short_directory

from gatewayz.embedded.servers import embedded_servers

pytestmark = [pytest.mark.alone, pytest.mark.slow]

ADMIN = "the-admin-key-of-this-test"
WORKERS = 4
MODEL = "acme/rocket-1"
CACHE = "/api/system/cache"


class Fleet:
    """`workers`: by process id, a client whose one connection ends at that worker."""

    def __init__(self, gateway: Served, database: asyncpg.Connection) -> None:
        self.gateway = gateway
        self.database = database
        self.workers: dict[int, aiohttp.ClientSession] = {}
        self.model = ""
        self.key = ""
        self.account = 0

    async def meet(self, stack: AsyncExitStack) -> None:
        """Connect until each worker has answered."""
        async with asyncio.timeout(PATIENCE):
            while len(self.workers) < WORKERS:
                connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=600)
                client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
                told = await self.ask(client, "GET", f"{CACHE}/stats")
                self.workers.setdefault(told[1]["worker"], client)

    async def ask(
        self, client: aiohttp.ClientSession, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {ADMIN}", **headers}
        async with client.request(method, self.gateway.url + path, json=body, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text)

    async def of_each(self, method: str, path: str, body: object = None, **headers: str) -> list[tuple[int, Any]]:
        return [await self.ask(client, method, path, body, **headers) for client in self.workers.values()]

    async def one(self, path: str, body: object) -> Any:  # noqa: ANN401  an answer's JSON
        status, answer = await self.ask(next(iter(self.workers.values())), "POST", path, body)
        assert status < 300, answer
        return answer

    async def names(self) -> set[str]:
        """What each worker calls the model."""
        return {answer["name"] for _, answer in await self.of_each("GET", f"/v1/models/{self.model}")}

    async def rename(self, name: str) -> None:
        """Unseen: with no trigger, so that nothing but clearing can tell a worker."""
        async with self.database.transaction():
            await self.database.execute("SET LOCAL session_replication_role = replica")
            await self.database.execute("UPDATE models SET name = $1 WHERE public_id = $2", name, self.model)

    async def chats(self, **headers: str) -> set[int]:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "again"}]}
        told = await self.of_each("POST", "/v1/chat/completions", body, Authorization=f"Bearer {self.key}", **headers)
        return {status for status, _ in told}


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream().running())
        settings = {
            "workers": str(WORKERS),
            "admin_key": ADMIN,
            "log__requests": "false",
            "catalog__sync_on_start": "false",
            "providers__acme__base_url": upstream.base_url("answers"),
            "providers__acme__models": MODEL,
        }
        data = stack.enter_context(short_directory()) / "data"
        gateway = stack.enter_context(served(data, **settings))
        await asyncio.to_thread(lambda: gateway.url)
        url = stack.enter_context(embedded_servers(data, postgres=True, redis=False)).database_url
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        fleet = Fleet(gateway, database)
        await fleet.meet(stack)
        fleet.account = (await fleet.one("/admin/accounts", {"username": "customer"}))["id"]
        form = {"name": "customer", "account_id": fleet.account, "pays_unknown_prices": True}
        fleet.key = (await fleet.one("/admin/keys", form))["key"]
        _, listed = await fleet.ask(next(iter(fleet.workers.values())), "GET", "/v1/models?limit=1")
        fleet.model = listed["data"][0]["id"]
        yield fleet


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"cache_type": "full_catalog"}),
        ("", {"cache_type": "models"}),
        ("", {"cache_type": "models:provider", "key": "openai"}),
        ("", {"prefix": "models:cat"}),
        ("", {"gateway": "openai"}),
        ("?gateway=openai", {}),
        ("", {"older_than": None}),
    ],
    ids=["type", "family", "key", "prefix", "gateway", "gateway in the query", "age"],
)
async def test_every_worker_reads_anew_what_was_cleared(fleet: Fleet, query: str, body: dict[str, Any]) -> None:
    (before,) = await fleet.names()
    name = f"{before[:20]} {time.monotonic_ns()}"
    await fleet.rename(name)
    assert await fleet.names() == {before}
    if "older_than" in body:
        body = {"older_than": time.time()}
    cleared = await fleet.one(f"{CACHE}/clear{query}", {**body, "reason": "a test"})
    assert cleared["everywhere"], cleared
    assert await fleet.names() == {name}


@pytest.mark.parametrize("aim", ["account", "model", "tag", "cache_type"])
async def test_no_worker_has_an_answer_that_was_cleared(fleet: Fleet, aim: str) -> None:
    assert await fleet.chats() == {200}
    assert await fleet.chats(**{"Cache-Control": "only-if-cached"}) == {200}
    value = {"account": fleet.account, "model": MODEL, "tag": f"account:{fleet.account}", "cache_type": "chat"}[aim]
    assert (await fleet.one(f"{CACHE}/clear", {aim: value}))["everywhere"]
    assert await fleet.chats(**{"Cache-Control": "only-if-cached"}) == {504}


@pytest.mark.parametrize(
    ("body", "entity", "key"),
    [
        ({}, "models:catalog:full", ""),
        ({"cache_type": "unique_models"}, "models:unique", ""),
        ({"cache_type": "models:provider", "keys": ["openai"]}, "models:provider", "openai"),
        ({"gateway": "openai"}, "models:provider", "openai"),
    ],
    ids=["all", "type", "key", "gateway"],
)
async def test_every_worker_finds_what_was_warmed(fleet: Fleet, body: dict[str, Any], entity: str, key: str) -> None:
    await fleet.one(f"{CACHE}/clear", {"cache_type": "models"})
    warmed = await fleet.one(f"{CACHE}/warm", body)
    assert warmed["failed"] == 0
    assert warmed["entries"] == len(warmed["steps"]) >= 1
    explained = await fleet.of_each("GET", f"{CACHE}/explain?entity={entity}&key={key}")
    assert [answer["l2"]["is_hit"] for _, answer in explained] == [True] * WORKERS


async def test_who_cleared_and_warmed_and_why_is_noted(fleet: Fleet) -> None:
    await fleet.one(f"{CACHE}/clear", {"gateway": "openai", "reason": "prices were wrong"})
    await fleet.one(f"{CACHE}/warm", {"cache_type": "models:stats", "reason": "before the rush"})
    _, audit = await fleet.ask(next(iter(fleet.workers.values())), "GET", "/admin/audit?limit=2")
    assert [(row["action"], row["target"], row["reason"]) for row in audit["data"]] == [
        ("cache.warm", "cache_type=models:stats", "before the rush"),
        ("cache.clear", "gateway=openai", "prices were wrong"),
    ]


SECRET = "gw_live_0123456789abcdefghijklmnopqrstuvwxyz"


async def audited(fleet: Fleet) -> Any:  # noqa: ANN401  an answer's JSON
    return (await fleet.ask(next(iter(fleet.workers.values())), "GET", "/admin/audit?limit=100"))[1]["data"]


@pytest.mark.parametrize("verb", ["clear", "warm"])
async def test_an_api_key_is_taken_for_no_name_and_noted_nowhere(fleet: Fleet, verb: str) -> None:
    client, before = next(iter(fleet.workers.values())), await audited(fleet)
    bodies: list[dict[str, Any]] = [{"cache_type": "auth:username", "keys": [SECRET]}, {"gateway": SECRET}]
    if verb == "clear":
        bodies = [{"cache_type": "auth:key", "key": SECRET}]
        bodies += [{name: f"Bearer {SECRET}"} for name in ("prefix", "tag", "gateway", "model", "cache_type")]
    for body in bodies:
        status, told = await fleet.ask(client, "POST", f"{CACHE}/{verb}", body)
        assert (status, told["error"]["code"]) == (400, "invalid_request"), body
        assert told["error"]["param"].partition(".")[0] in body
        assert "has the key's id" in told["error"]["message"]
        assert SECRET not in json.dumps(told)
    status, told = await fleet.ask(client, "GET", f"{CACHE}/explain?entity=auth:key&key={SECRET}")
    assert (status, told["error"]["param"], SECRET in json.dumps(told)) == (400, "key", False)
    assert await audited(fleet) == before
    assert SECRET not in fleet.gateway.printed


async def test_what_is_no_digest_is_noted_as_one(fleet: Fleet) -> None:
    digest = "0123456789abcdef" * 4
    for key in (digest, "sk-of-another-house"):
        await fleet.one(f"{CACHE}/clear", {"cache_type": "auth:key", "key": key})
    noted = [row["target"] for row in (await audited(fleet))[:2]]
    assert noted[1] == f"cache_type=auth:key key={digest}"
    assert noted[0].startswith("cache_type=auth:key key=sha256:")
    assert "sk-of" not in noted[0]


@pytest.mark.parametrize("query", ["", "?gateway=opneai"])
async def test_a_mistyped_gateway_clears_nothing(fleet: Fleet, query: str) -> None:
    client, before = next(iter(fleet.workers.values())), await audited(fleet)
    bodies = [{}] if query else [{"gateway": "opneai"}, {"cache_type": "provider_catalog", "key": "opneai"}]
    for body in bodies:
        status, told = await fleet.ask(client, "POST", f"{CACHE}/clear{query}", body)
        assert (status, told["error"]["param"]) == (400, "key" if "key" in body else "gateway")
        assert "did you mean 'openai'?" in told["error"]["message"]
    assert await audited(fleet) == before


async def test_what_cannot_be_warmed_is_refused_by_name(fleet: Fleet) -> None:
    client = next(iter(fleet.workers.values()))
    for body, status, field in (
        ({"cache_type": "models:stat"}, 404, "cache_type"),
        ({"cache_type": "models:model"}, 400, "keys"),
        ({"cache_type": "chat", "keys": ["x"]}, 400, "keys"),
        ({"keys": ["x"]}, 400, "keys"),
        ({"gateway": "openai", "keys": ["x"]}, 400, "gateway"),
    ):
        answered, told = await fleet.ask(client, "POST", f"{CACHE}/warm", body)
        assert (answered, told["error"]["param"]) == (status, field)


async def test_commands_clear_and_warm_for_all_workers(fleet: Fleet) -> None:
    (before,) = await fleet.names()
    name = f"{before[:20]} {time.monotonic_ns()}"
    await fleet.rename(name)
    cleared = json.loads(await asyncio.to_thread(fleet.gateway.command, "cache", "clear", "models", "--json"))
    assert cleared["everywhere"]
    assert await fleet.names() == {name}
    words = ("cache", "warm", "--gateway", "openai", "--json")
    steps = json.loads(await asyncio.to_thread(fleet.gateway.command, *words))
    assert [step["found"] for step in steps] == [True] * 4
