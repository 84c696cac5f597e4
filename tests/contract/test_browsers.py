"""What a browser finds: pages of other origins are let in only where settings name them, and answers cannot be sniffed,
kept or framed.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import ValidationError
from tests.support.gateway import RunningGateway, running_gateway

from gatewayz.api.browsers import guarded_headers
from gatewayz.api.config import CorsConfig
from gatewayz.embedded.servers import Servers

APP = "https://app.example.com"
CHAT = "/v1/chat/completions"
WANTED = "authorization,content-type,x-stainless-lang"


@pytest.fixture(scope="module")
async def opened(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    data_dir: Path = tmp_path_factory.mktemp("opened")
    async with running_gateway(servers, data_dir, cors={"origins": [APP]}) as running:
        yield running


async def preflight(gateway: RunningGateway, origin: str, path: str = CHAT) -> aiohttp.ClientResponse:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": WANTED}
    async with gateway.client() as client, client.options(gateway.at(path), headers=asked) as answer:
        await answer.read()
        return answer


async def asked(gateway: RunningGateway, path: str, method: str = "GET", **headers: str) -> aiohttp.ClientResponse:
    async with gateway.client(**headers) as client, client.request(method, gateway.at(path)) as answer:
        await answer.read()
        return answer


def cors_of(answer: aiohttp.ClientResponse) -> set[str]:
    return {name.lower() for name in answer.headers if name.lower().startswith("access-control-")}


async def test_nobody_is_let_in_by_default(gateway: RunningGateway) -> None:
    refused = await preflight(gateway, APP)
    assert (refused.status, cors_of(refused)) == (405, set())
    for path in ("/v1/models", "/health/ready", "/v1/key"):
        assert cors_of(await asked(gateway, path, Origin=APP)) == set()


@pytest.mark.parametrize("path", [CHAT, "/v1/key", "/v1/models"], ids=["hot path", "control plane", "catalog"])
async def test_a_page_of_a_named_origin_may_ask_with_its_own_headers(opened: RunningGateway, path: str) -> None:
    let_in = await preflight(opened, APP, path)
    assert let_in.status == 200
    assert let_in.headers["Access-Control-Allow-Origin"] == APP
    assert "POST" in let_in.headers["Access-Control-Allow-Methods"]
    allowed = {each.strip().lower() for each in let_in.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(WANTED.split(",")) <= allowed
    assert let_in.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in let_in.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in let_in.headers


@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.example", "null"])
async def test_a_page_of_another_origin_may_not(opened: RunningGateway, origin: str) -> None:
    refused = await preflight(opened, origin)
    assert refused.status == 400
    assert "Access-Control-Allow-Origin" not in refused.headers
    answer = await asked(opened, "/v1/models", Origin=origin)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(("path", "status"), [("/v1/models", 200), ("/v1/key", 401), ("/no/such/path", 404)])
async def test_answers_and_refusals_alike_can_be_read_by_the_page(
    opened: RunningGateway, path: str, status: int
) -> None:
    answer = await asked(opened, path, Origin=APP)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, APP)
    assert answer.headers["Access-Control-Expose-Headers"] == "*"
    assert "Origin" in answer.headers["Vary"]


async def test_who_is_no_browser_notices_nothing(opened: RunningGateway) -> None:
    assert cors_of(await asked(opened, "/v1/models")) <= {"access-control-expose-headers"}
    assert (await asked(opened, CHAT, "OPTIONS")).status == 405


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "HTTPS://APP", "https://*.example"])
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValidationError, match="origin"):
        CorsConfig(origins=[origin])


@pytest.mark.parametrize("path", ["/v1/key", "/health/ready", "/metrics", "/docs", "/no/such/path", "/admin/keys"])
async def test_what_a_browser_could_show_is_not_sniffed_kept_or_told_of(gateway: RunningGateway, path: str) -> None:
    headers = (await asked(gateway, path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


async def test_a_page_may_not_be_framed_and_loads_from_where_it_must_only(gateway: RunningGateway) -> None:
    policy = (await asked(gateway, "/docs")).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy


def test_what_an_answer_says_itself_stands() -> None:
    said = [(b"Cache-Control", b"max-age=5"), (b"content-security-policy", b"own"), (b"content-type", b"text/html")]
    added = dict(guarded_headers(said)[len(said) :])
    assert set(added) == {b"x-content-type-options", b"referrer-policy"}


@pytest.mark.parametrize("path", ["/v1/models", "/health", CHAT])
async def test_hot_paths_say_what_they_are(gateway: RunningGateway, path: str) -> None:
    """They need no more: no browser shows JSON or an event stream as a page."""
    answer = await asked(gateway, path, "POST" if path == CHAT else "GET")
    assert answer.headers["Content-Type"] == "application/json"
