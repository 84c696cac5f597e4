"""What a gateway's metrics and its log say of requests."""

import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import structlog
from tests.support.cached_chats import Caller, request
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway
from tests.support.scraped import Scraped

from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.providers.table import PROVIDERS

CHAT = "/v1/chat/completions"
MODEL = "acme/rocket-1"
LISTS = (
    listing("acme", listed("rocket-1", "0.001")),
    listing("beta", listed("acme/rocket-1", "0.002")),
    listing("unused", listed("other-1", "0.002")),
)


class Driven:
    """A gateway that was asked this and that; what its metrics said then, and its lines in the log."""

    def __init__(self, key: str, metrics: Scraped, lines: list[dict[str, Any]]) -> None:
        self.key = key
        self.metrics = metrics
        self.lines = [line for line in lines if line["event"] == "request"]

    def line(self, **wanted: object) -> dict[str, Any]:
        (found,) = [line for line in self.lines if wanted.items() <= line.items()]
        return found


@pytest.fixture(scope="module")
async def driven(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driven]:
    log = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(log),
        cache_logger_on_first_use=False,
    )
    async with FakeUpstream().running() as upstream:
        providers = {
            "acme": {"base_url": upstream.base_url("acme"), "api_key": "sk-acme"},
            "beta": {"base_url": upstream.base_url("answers"), "api_key": "sk-beta"},
        }
        upstream.behaviours = {"acme": "answers"}
        place = tmp_path_factory.mktemp("metrics")
        async with running_gateway(servers, place, LISTS, providers=providers, responses={"enabled": True}) as gateway:
            key = await _drive(gateway, upstream)
            async with gateway.client() as client, client.get(gateway.at("/metrics")) as response:
                metrics = Scraped(await response.text())
            yield Driven(key, metrics, [json.loads(line) for line in log.getvalue().splitlines()])
    structlog.reset_defaults()


async def _drive(gateway: RunningGateway, upstream: FakeUpstream) -> str:
    """Returns the key that it used."""
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="a name of a key", account="an account's name", credits=nano_usd(Decimal(1000))
        )
    caller = Caller(gateway, made.secret)
    for question in ("one", "one", "one"):
        assert (await caller.ask(question)).status == 200
    assert (await caller.ask("two", stream=True)).status == 200
    upstream.behaviours["acme"] = "500"
    assert (await caller.ask("three")).status == 200
    upstream.behaviours["acme"] = "cut"
    async with gateway.client(Authorization=f"Bearer {made.secret}") as client:
        body = request("four", stream=True) | {"cache": {"no-store": True}}
        async with client.post(gateway.at(CHAT), json=body) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        for path, status in ((f"/no/{made.secret}", 404), ("/v1/models?limit=1", 200), ("/health", 200)):
            async with client.get(gateway.at(path)) as response:
                assert response.status == status
        async with client.post(gateway.at(CHAT), json=request("five") | {"model": "nobody/knows-me"}) as response:
            assert response.status == 404
    async with (
        gateway.client(Authorization="Bearer gw_live_nobody") as client,
        client.post(gateway.at(CHAT), json=request("six")) as response,
    ):
        assert response.status == 401
    return made.secret


def test_requests_are_counted_by_endpoint_provider_model_status_and_cache_status(driven: Driven) -> None:
    def count(**labels: str) -> float:
        return driven.metrics.sum("gatewayz_requests_total", **labels)

    served = {"endpoint": CHAT, "model": MODEL, "status": "200"}
    assert count(**served, provider="acme", cache="miss") == 2
    assert count(**served, provider="acme", cache="hit") == 2
    assert count(**served, provider="beta", cache="miss") == 1
    assert count(endpoint=CHAT, status="cut") == 1
    assert count(endpoint=CHAT, status="401", provider="none", model="none", cache="none") == 1
    assert count(endpoint=CHAT, status="404", model="none") == 1
    assert count(endpoint="catalog", status="200") >= 1
    assert count(endpoint="/health", status="200") == 1
    assert count(endpoint="control", status="404") == 1


def test_times_tokens_and_money_are_told(driven: Driven) -> None:
    metrics = driven.metrics
    assert metrics.sum("gatewayz_request_seconds_count", endpoint=CHAT, cache="hit") == 2
    assert metrics.sum("gatewayz_added_seconds_count", endpoint=CHAT, cache="hit") == 2
    asked = {"endpoint": CHAT, "cache": "miss"}
    assert 0 < metrics.sum("gatewayz_added_seconds_sum", **asked) < metrics.sum("gatewayz_request_seconds_sum", **asked)
    assert metrics.sum("gatewayz_first_token_seconds_count", provider="acme", cache="miss") >= 1
    spent = {"provider": "acme", "model": MODEL}
    assert metrics.sum("gatewayz_tokens_total", **spent, kind="prompt") >= 2
    assert metrics.sum("gatewayz_cost_usd_total", **spent) >= 0.006
    assert metrics.sum("gatewayz_responses_saved_usd_total", **spent) == pytest.approx(0.006)
    assert metrics.sum("gatewayz_responses_saved_seconds_total", **spent) > 0
    assert metrics.sum("gatewayz_responses_age_seconds_count") == 2
    assert metrics.sum("gatewayz_attempts_total", provider="acme", outcome="failed") == 2
    assert metrics.sum("gatewayz_attempts_total", provider="acme", outcome="broken_off") == 1
    assert metrics.sum("gatewayz_redis_memory_bytes") > 0
    assert metrics.sum("gatewayz_cache_leases_total", outcome="granted") > 0
    assert metrics.sum("gatewayz_cache_invalidation_seconds_count") >= 0


def test_no_label_holds_a_key_a_user_or_what_a_client_made_up(driven: Driven) -> None:
    labels = driven.metrics.labels()
    said = {value for values in labels.values() for value in values}
    for secret in (driven.key, "nobody", "test", "an account's name", "a name of a key"):
        assert not [value for value in said if secret in value]
    assert labels["model"] <= {MODEL, "none"}
    assert labels["provider"] <= {"acme", "beta", "none", *(provider.slug for provider in PROVIDERS)}
    assert labels["endpoint"] <= {CHAT, "catalog", "control", "/health"}
    assert not labels.keys() & {"key", "user", "account", "key_id", "account_id"}


def test_each_request_has_a_line_that_tells_what_became_of_it(driven: Driven) -> None:
    assert len([line for line in driven.lines if line["path"] == CHAT]) == 8
    failed_over = driven.line(path=CHAT, status=200, attempts=2, cache="miss")
    assert failed_over["provider"] == "beta"
    assert failed_over["cost_usd"] == pytest.approx(0.006)
    assert failed_over["request_id"].startswith("req_")
    hit, _ = [line for line in driven.lines if line.get("cache") == "hit"]
    assert (hit["cache_detail"], hit["model"], hit["saved_usd"]) == ("L1", MODEL, pytest.approx(0.003))
    assert driven.line(path=CHAT, status=401)["code"] == "invalid_api_key"
    assert driven.line(path=CHAT, status=404)["code"] == "model_not_found"
    assert driven.line(path=CHAT, ended="cut")["attempts"] == 1
    assert driven.line(path="/health")["status"] == 200


def test_no_line_holds_a_key_or_what_was_asked(driven: Driven) -> None:
    text = json.dumps(driven.lines)
    for secret in (driven.key, "sk-acme", "Hello", "nobody", "three"):
        assert secret not in text
