"""What a gateway tells of its providers' health, after one of two workers has asked them this and that."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway import RunningGateway, install, listed, listing, parts_of, serving, settings_for
from tests.support.patience import PATIENCE
from tests.support.scraped import Scraped
from tests.support.servers import fresh_database

from gatewayz.accounts.scopes import ADMIN
from gatewayz.embedded.servers import Servers

MODEL = "acme/rocket-1"
ENDPOINTS = f"/v1/models/{MODEL}/endpoints"
PUBLIC = ("summary", "providers", "models", "gateways")
FOR_ADMINS = ("system", "dashboard")
ANSWERED, FAILED, CUT = 6, 4, 5
LISTS = tuple(listing(slug, listed(MODEL)) for slug in ("acme", "beta", "cuts", "idle"))


class World:
    """`asked` is the worker that asks providers, `beside` another one. `admin`: the headers of an admin."""

    def __init__(
        self, asked: RunningGateway, beside: RunningGateway, client: aiohttp.ClientSession, admin: Mapping[str, str]
    ) -> None:
        self.asked = asked
        self.beside = beside
        self.admin = admin
        self._client = client

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, gateway: RunningGateway | None = None
    ) -> tuple[int, Any, str]:
        """Status, body and ETag."""
        async with self._client.get((gateway or self.beside).at(path), headers=headers) as answer:
            body = await (answer.json() if answer.content_type == "application/json" else answer.text())
            return answer.status, body, answer.headers.get("etag", "")

    async def told(self, report: str) -> Any:  # noqa: ANN401  JSON
        status, body, _ = await self.get(f"/health/{report}", self.admin)
        assert status == 200, body
        return body

    async def chat(self, provider: str, *, stream: bool = False) -> int:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Hi"}],
            "provider": {"only": [provider]},
            "stream": stream,
        }
        url, headers = self.asked.at("/v1/chat/completions"), self.asked.bearer
        async with self._client.post(url, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def forget(self) -> None:
        """What is kept of health, so that the next answer is of now."""
        url = self.asked.at("/api/system/cache/clear")
        async with self._client.post(url, json={"prefix": "health"}, headers=self.admin) as answer:
            assert answer.status == 200, await answer.text()

    async def until(self, statuses: Mapping[str, str]) -> None:
        """The worker that asked nobody knows that providers are so, too."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.forget()
                found = {each["provider"]: each["status"] for each in (await self.told("providers"))["providers"]}
                if statuses.items() <= found.items():
                    return


@pytest.fixture(scope="module")
async def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream().running())
        upstream.behaviours = {"acme": "answers", "beta": "500", "cuts": "cut", "idle": "answers"}
        providers = {
            slug: {"base_url": upstream.base_url(slug), "api_key": f"sk-{slug}"} for slug in upstream.behaviours
        }
        database_url = await stack.enter_async_context(fresh_database(servers))
        settings = settings_for(
            servers,
            database_url,
            tmp_path_factory.mktemp("health"),
            providers=providers,
            health={"failures": 1000, "share_every": 0.05},
        )
        api_key = await install(settings, LISTS)
        async with parts_of(settings) as parts:
            secret = (await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))).secret
        asked, beside = [await stack.enter_async_context(serving(settings, api_key)) for _ in range(2)]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        world = World(asked, beside, client, {"Authorization": f"Bearer {secret}"})
        for number in range(ANSWERED):
            assert await world.chat("acme", stream=number % 2 == 0) == 200
        for _ in range(FAILED):
            assert await world.chat("beta") == 502
        for _ in range(CUT):
            with pytest.raises(aiohttp.ClientPayloadError):
                await world.chat("cuts", stream=True)
        await world.until({"acme": "healthy", "beta": "down", "cuts": "down"})
        yield world


async def test_a_provider_says_how_it_fares_and_why_and_one_that_nobody_asked_is_unknown(world: World) -> None:
    told = await world.told("providers")
    found = {each["provider"]: each for each in told["providers"]}
    assert told["is_shared"] is True
    assert found.keys() == {"acme", "beta", "cuts", "idle", "demo"}
    assert {slug: found[slug]["status"] for slug in ("acme", "beta", "idle")} == {
        "acme": "healthy",
        "beta": "down",
        "idle": "unknown",
    }
    assert (found["acme"]["uptime"], found["beta"]["uptime"], found["idle"]["uptime"]) == (1, 0, None)
    assert found["beta"]["reason"] == "100% of its requests failed of late"
    assert found["beta"]["since"] <= told["told_at"]
    assert found["acme"]["models"] == {"healthy": 1, "degraded": 0, "down": 0, "unknown": 0}
    for figure in ("latency", "first_token"):
        assert 0 < found["acme"][figure]["p50"] <= found["acme"][figure]["p95"]
        assert found["beta"][figure] is None


async def test_who_begins_every_answer_and_ends_none_is_down_though_it_is_never_left_alone(world: World) -> None:
    found = {each["provider"]: each for each in (await world.told("providers"))["providers"]}
    assert (found["cuts"]["status"], found["cuts"]["uptime"]) == ("down", 0)
    assert found["cuts"]["first_token"]["p50"] > 0


async def test_models_are_told_by_provider(world: World) -> None:
    models = (await world.told("models"))["models"]
    assert [(each["provider"], each["provider_model_id"], each["status"]) for each in models] == [
        ("acme", MODEL, "healthy"),
        ("beta", MODEL, "down"),
        ("cuts", MODEL, "down"),
    ]


async def test_every_gateway_has_a_status_configured_or_not(world: World) -> None:
    gateways = {each["gateway"]: each for each in (await world.told("gateways"))["gateways"]}
    assert (gateways["acme"]["is_configured"], gateways["acme"]["status"]) == (True, "healthy")
    assert (gateways["groq"]["is_configured"], gateways["groq"]["status"]) == (False, "unknown")


async def test_the_summary_counts_and_never_takes_unknown_for_healthy(world: World) -> None:
    summary = await world.told("summary")
    assert summary["status"] == "degraded"
    assert summary["providers"] == {"healthy": 1, "degraded": 0, "down": 2, "unknown": 2}
    assert summary["uptime"] == ANSWERED / (ANSWERED + FAILED + CUT)


async def test_the_system_says_how_all_is_on_which_the_gateway_stands(world: World) -> None:
    system = await world.told("system")
    assert {each["name"]: each["status"] for each in system["components"]} == dict.fromkeys(
        ("database", "redis", "catalog"), "healthy"
    )
    assert system["status"] == "healthy"
    assert (system["cache"]["redis"], system["cache"]["hears_invalidations"]) == ("closed", True)
    assert system["catalog"]["models"] == (await world.get("/v1/catalog/stats"))[1]["total_models"]
    assert system["workers"] == {"answering": 1, "silent": 0}, "each of these is a serve of its own"


async def test_the_dashboard_has_all_of_it_and_the_traffic(world: World) -> None:
    dashboard = await world.told("dashboard")
    assert dashboard["system"]["status"] == "healthy"
    assert [each["provider"] for each in dashboard["unwell"]] == ["beta", "cuts"]
    traffic = {each["provider"]: (each["requests"], each["failures"]) for each in dashboard["traffic"]}
    assert traffic == {"acme": (ANSWERED, 0), "beta": (FAILED, FAILED), "cuts": (CUT, CUT)}


@pytest.mark.parametrize("report", PUBLIC)
async def test_anybody_may_ask_and_learns_nothing_of_how_much_is_asked(world: World, report: str) -> None:
    status, body, _ = await world.get(f"/health/{report}")
    assert status == 200
    assert not {"requests", "failures", "heard_at", "traffic", "told_by"} & names_in(body)


@pytest.mark.parametrize("report", FOR_ADMINS)
async def test_what_stands_behind_the_gateway_is_for_admins(world: World, report: str) -> None:
    assert (await world.get(f"/health/{report}"))[0] == 401
    assert (await world.get(f"/health/{report}", world.asked.bearer))[0] == 403


@pytest.mark.parametrize("report", [*PUBLIC, *FOR_ADMINS])
async def test_a_parameter_that_is_not_there_is_refused(world: World, report: str) -> None:
    status, body, _ = await world.get(f"/health/{report}?provider=acme", world.admin)
    assert (status, body["error"]["param"]) == (400, "provider")


async def test_the_catalog_tells_health_and_stays_the_same_while_that_does(world: World) -> None:
    _, body, tag = await world.get(ENDPOINTS)
    found = {each["tag"]: each for each in body["data"]["endpoints"]}
    assert {slug: each["health"]["status"] for slug, each in found.items()} == {
        "acme": "healthy",
        "beta": "down",
        "cuts": "down",
        "idle": "unknown",
    }
    assert (found["acme"]["uptime_last_30m"], found["beta"]["uptime_last_30m"]) == (100, 0)
    assert found["acme"]["latency_last_30m"]["p50"] > 0
    assert found["idle"]["latency_last_30m"] is found["idle"]["uptime_last_30m"] is None
    assert (await world.get(ENDPOINTS))[2] == tag
    assert await world.chat("acme") == 200
    assert (await world.get(ENDPOINTS, {"If-None-Match": tag}))[0] == 304


@pytest.mark.parametrize("path", ["/v1/providers", "/v1/gateways/status"])
async def test_lists_of_providers_tell_health(world: World, path: str) -> None:
    found = {each["slug"]: each["health"] for each in (await world.get(path))[1]["data"]}
    assert [found[slug] for slug in ("acme", "beta", "idle")] == [
        {"status": "healthy"},
        {"status": "down"},
        {"status": "unknown"},
    ]


async def test_the_metrics_of_each_worker_tell_the_state_that_all_see(world: World) -> None:
    for gateway in (world.asked, world.beside):
        metrics = Scraped((await world.get("/metrics", gateway=gateway))[1])
        assert metrics.sum("gatewayz_provider_state", provider="beta", state="down") == 1
        assert metrics.sum("gatewayz_provider_state", provider="beta", state="healthy") == 0
        assert metrics.sum("gatewayz_provider_state", provider="idle", state="unknown") == 1
        assert metrics.sum("gatewayz_health_shared") == 1


def names_in(form: object) -> set[str]:
    """Of all fields, however deep."""
    if isinstance(form, dict):
        return set(form).union(*map(names_in, form.values()))
    return set().union(*map(names_in, form)) if isinstance(form, list) else set()
