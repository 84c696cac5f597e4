"""Chat through an OpenAI-compatible provider that settings alone add."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from tests.support.fake_upstream import DONE, FakeUpstream, event
from tests.support.gateway import RunningGateway, parts_of, running_gateway, serving
from tests.support.patience import PATIENCE

from gatewayz.cli.first_start import sync_without_network
from gatewayz.embedded.servers import Servers
from gatewayz.settings import load_settings

MODEL = "acme/rocket-1"
SECRET = "sk-acme-very-secret"
ALSO_SECRET = "sk-beta-very-secret"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there

Two = tuple[RunningGateway, FakeUpstream]


def providers_at(acme: str, beta: str) -> dict[str, object]:
    return {
        "acme": {"base_url": acme, "api_key": SECRET, "models": [MODEL]},
        "beta": {"base_url": beta, "api_key": ALSO_SECRET, "models": [MODEL]},
    }


@pytest.fixture(scope="module")
async def two_providers(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    """A gateway whose model both acme and beta serve, tried in this order."""
    data_dir = tmp_path_factory.mktemp("two")
    async with FakeUpstream().running() as upstream:
        providers = providers_at(upstream.base_url("acme"), upstream.base_url("beta"))
        async with running_gateway(servers, data_dir, (), providers=providers) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(two_providers: Two) -> FakeUpstream:
    """Its two providers answer, until the test says what else they do."""
    _, upstream = two_providers
    upstream.reset()
    upstream.behaviours = {"acme": "answers", "beta": "answers"}
    return upstream


@pytest.fixture
def gateway(two_providers: Two) -> RunningGateway:
    gateway, _ = two_providers
    return gateway


@pytest.fixture
async def lonely_gateway(servers: Servers, upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """Nothing listens where its acme should be; its beta is as the other gateway's."""
    providers = providers_at(NOWHERE, upstream.base_url("beta"))
    async with running_gateway(servers, tmp_path, (), providers=providers) as running:
        yield running


def request(**fields: object) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **fields}


@asynccontextmanager
async def chat(gateway: RunningGateway, **fields: object) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        gateway.client(**gateway.bearer) as client,
        client.post(gateway.at("/v1/chat/completions"), json=request(**fields)) as response,
    ):
        yield response


async def answer(gateway: RunningGateway, **fields: object) -> tuple[int, dict[str, Any], str | None]:
    """Status, body, and the provider that served."""
    async with chat(gateway, **fields) as response:
        return response.status, json.loads(await response.read()), response.headers.get("x-gatewayz-provider")


async def test_a_provider_added_by_the_environment_alone_is_sent_chats_with_its_own_key(
    small_gateway: RunningGateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = "GATEWAYZ_PROVIDERS__ACME__"
    given = small_gateway.settings
    database, redis_url = given.storage.database_url, given.redis_url()
    assert database is not None
    for name, value in {
        f"{prefix}BASE_URL": upstream.base_url("answers"),
        f"{prefix}API_KEY": SECRET,
        f"{prefix}MODELS": f"{MODEL}, acme/rocket-2",
        "GATEWAYZ_DATA_DIR": str(given.data_dir),
        "DATABASE_URL": database.get_secret_value(),
        **({"REDIS_URL": redis_url} if redis_url else {}),
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    async with parts_of(settings) as parts:
        await sync_without_network(parts)
    async with serving(settings, small_gateway.api_key) as gateway:
        status, body, provider = await answer(gateway, temperature=0.5, unknown_field={"a": [1, None]})
    assert (status, provider) == (200, "acme")
    assert body["choices"][0]["message"]["content"] == "Hello"
    (asked,) = upstream.asked
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert small_gateway.api_key not in str(asked.headers)
    assert asked.body == request(temperature=0.5, unknown_field={"a": [1, None]})


@pytest.mark.usefixtures("upstream")
async def test_the_sdk_streams_through_the_gateway(gateway: RunningGateway) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.api_key, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello"


async def test_a_stream_passes_on_each_chunk_as_soon_as_it_comes(
    gateway: RunningGateway, upstream: FakeUpstream
) -> None:
    upstream.behaviours["acme"] = "held"
    upstream.chunks.put_nowait(event("one"))
    async with asyncio.timeout(PATIENCE), chat(gateway, stream=True) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        assert await response.content.readany() == event("one")
        for word in ("two", "three"):
            upstream.chunks.put_nowait(event(word))
            assert await response.content.readany() == event(word)
        upstream.chunks.put_nowait(DONE)
        upstream.chunks.put_nowait(None)
        assert await response.content.read() == DONE


@pytest.mark.parametrize("status", ["400", "413", "422"])
async def test_a_fault_of_the_caller_is_told_with_the_providers_reason_and_tried_nowhere_else(
    gateway: RunningGateway, upstream: FakeUpstream, status: str
) -> None:
    upstream.behaviours["acme"] = status
    code, body, _ = await answer(gateway)
    assert code == 400
    assert "temperature must be at most 2" in body["error"]["message"]
    assert body["error"]["code"] == "invalid_request"
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("behaviour", ["401", "402", "403", "429", "500", "503", "quotes-key"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_a_provider_leads_to_the_next(
    gateway: RunningGateway, upstream: FakeUpstream, behaviour: str, *, stream: bool
) -> None:
    upstream.behaviours["acme"] = behaviour
    async with chat(gateway, stream=stream) as response:
        assert response.status == 200
        assert response.headers["x-gatewayz-provider"] == "beta"
        assert b"Hel" in await response.read()
    keys = [asked.headers["Authorization"] for asked in upstream.asked]
    assert keys == [f"Bearer {SECRET}", f"Bearer {ALSO_SECRET}"]


async def test_a_refused_connection_leads_to_the_next_and_if_that_fails_to_a_502_without_the_address(
    lonely_gateway: RunningGateway, upstream: FakeUpstream
) -> None:
    assert (await answer(lonely_gateway))[::2] == (200, "beta")
    upstream.behaviours["beta"] = "500"
    status, body, _ = await answer(lonely_gateway)
    assert status == 502
    assert "127.0.0.1" not in str(body)


@pytest.mark.parametrize("behaviour", ["429", "500", "breaks"])
@pytest.mark.parametrize("stream", [False, True])
async def test_when_every_provider_fails_the_answer_is_a_502(
    gateway: RunningGateway, upstream: FakeUpstream, behaviour: str, *, stream: bool
) -> None:
    upstream.behaviours = dict.fromkeys(("acme", "beta"), behaviour)
    status, body, _ = await answer(gateway, stream=stream)
    assert status == 502
    assert body["error"]["code"] == "provider_error"
    assert body["error"]["type"] == "api_error"


@pytest.mark.parametrize("behaviour", ["quotes-key", "quotes-key-400", "500"])
async def test_no_secret_and_no_address_of_a_provider_reaches_a_caller(
    gateway: RunningGateway, upstream: FakeUpstream, behaviour: str
) -> None:
    upstream.behaviours = dict.fromkeys(("acme", "beta"), behaviour)
    async with chat(gateway) as response:
        said = (await response.read()).decode() + str(response.headers)
    assert response.status in {400, 502}
    for secret in (SECRET, ALSO_SECRET, gateway.api_key, upstream.url, "127.0.0.1"):
        assert secret not in said


@pytest.mark.parametrize("behaviour", ["held", "silent"])
@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_caller_leaves_the_providers_work_is_ended_at_once(
    gateway: RunningGateway, upstream: FakeUpstream, behaviour: str, *, stream: bool
) -> None:
    async def ask() -> None:
        async with chat(gateway, stream=stream) as response:
            await response.read()

    upstream.behaviours["acme"] = behaviour
    upstream.chunks.put_nowait(event("one"))
    asking = asyncio.create_task(ask())
    async with asyncio.timeout(PATIENCE):
        await upstream.has_request.wait()
        asking.cancel()
        await upstream.is_left.wait()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(upstream.asked) == 1
    assert (await gateway.health())[0] == 200


async def test_one_caller_who_leaves_does_not_disturb_another(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    upstream.behaviours["acme"] = "held"
    async with asyncio.timeout(PATIENCE):
        upstream.chunks.put_nowait(event("one"))
        async with chat(gateway, stream=True) as leaving:
            assert await leaving.content.readany() == event("one")
        await upstream.is_left.wait()
        upstream.chunks.put_nowait(event("two"))
        upstream.chunks.put_nowait(None)
        async with chat(gateway, stream=True) as staying:
            assert await staying.read() == event("two")


async def test_a_stream_that_breaks_in_the_middle_is_cut_and_not_ended(
    gateway: RunningGateway, upstream: FakeUpstream
) -> None:
    """An answer that looked whole would be taken, and kept, as one."""
    upstream.behaviours["acme"] = "cut"
    async with chat(gateway, stream=True) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
