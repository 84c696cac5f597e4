"""`Idempotency-Key`: a request that is sent again runs once and is answered the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.support.fake_upstream import DONE, FakeUpstream, event
from tests.support.gateway import RunningGateway, parts_of, running_gateway

from gatewayz.embedded.servers import Servers

MODEL = "acme/rocket-1"
WITHIN = 60.0


@pytest.fixture(scope="module")
async def both(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[RunningGateway, FakeUpstream]]:
    async with FakeUpstream().running() as upstream:
        providers = {"acme": {"base_url": upstream.base_url("acme"), "api_key": "sk-acme", "models": [MODEL]}}
        async with running_gateway(servers, tmp_path_factory.mktemp("once"), (), providers=providers) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(both: tuple[RunningGateway, FakeUpstream]) -> FakeUpstream:
    """It answers, until the test says what else it does."""
    _, upstream = both
    upstream.reset()
    upstream.behaviours = {"acme": "answers"}
    return upstream


@pytest.fixture
def gateway(both: tuple[RunningGateway, FakeUpstream]) -> RunningGateway:
    return both[0]


@asynccontextmanager
async def chat(
    gateway: RunningGateway, name: str, text: str = "Hi", key: str | None = None, **fields: object
) -> AsyncIterator[aiohttp.ClientResponse]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
    headers = {"Authorization": f"Bearer {key or gateway.api_key}", "Idempotency-Key": name}
    async with (
        gateway.client(**headers) as client,
        client.post(gateway.at("/v1/chat/completions"), json=body) as response,
    ):
        yield response


async def said(gateway: RunningGateway, name: str, text: str = "Hi", **fields: Any) -> tuple[int, bytes, str | None]:  # noqa: ANN401  any field
    """Status, body, and whether it was given before."""
    async with chat(gateway, name, text, **fields) as response:
        return response.status, await response.read(), response.headers.get("idempotency-replayed")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_second_time_the_same_bytes_come_and_the_provider_is_not_asked(
    gateway: RunningGateway, upstream: FakeUpstream, *, stream: bool
) -> None:
    first = await said(gateway, f"again-{stream}", stream=stream)
    second = await said(gateway, f"again-{stream}", stream=stream)
    assert first[0] == second[0] == 200
    assert first[1] == second[1]
    assert (first[2], second[2]) == (None, "true")
    assert len(upstream.asked) == 1


async def test_while_the_first_runs_the_second_is_told_so(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    upstream.behaviours["acme"] = "held"
    async with asyncio.timeout(WITHIN):
        first = asyncio.create_task(said(gateway, "running", stream=True))
        await upstream.has_request.wait()
        status, body, _ = await said(gateway, "running", stream=True)
        assert (status, json.loads(body)["error"]["code"]) == (409, "idempotency_key_in_use")
        upstream.chunks.put_nowait(DONE)
        upstream.chunks.put_nowait(None)
        assert (await first)[:2] == (200, DONE)


async def test_another_request_under_the_same_name_is_refused(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    await said(gateway, "reused")
    status, body, _ = await said(gateway, "reused", "Something else")
    assert (status, json.loads(body)["error"]["code"]) == (422, "idempotency_key_reused")
    assert len(upstream.asked) == 1


async def test_who_leaves_and_asks_again_gets_the_answer_of_the_first_run(
    gateway: RunningGateway, upstream: FakeUpstream
) -> None:
    upstream.behaviours["acme"] = "held"
    upstream.chunks.put_nowait(event("one"))
    async with asyncio.timeout(WITHIN):
        async with chat(gateway, "left", stream=True) as leaving:
            assert await leaving.content.readany() == event("one")
        for chunk in (event("two"), DONE, None):
            upstream.chunks.put_nowait(chunk)
        while (found := await said(gateway, "left", stream=True))[0] == 409:
            pass
    assert found == (200, event("one") + event("two") + DONE, "true")
    assert len(upstream.asked) == 1


async def test_what_failed_runs_again(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    upstream.behaviours["acme"] = "500"
    assert (await said(gateway, "failed"))[0] == 502
    upstream.behaviours["acme"] = "answers"
    assert (await said(gateway, "failed"))[::2] == (200, None)
    assert len(upstream.asked) == 2


async def test_an_answer_that_breaks_off_is_not_kept(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    upstream.behaviours["acme"] = "cut"
    with pytest.raises(aiohttp.ClientPayloadError):
        await said(gateway, "cut", stream=True)
    upstream.behaviours["acme"] = "answers"
    assert (await said(gateway, "cut", stream=True))[::2] == (200, None)


async def test_the_name_of_one_key_is_nothing_to_another(gateway: RunningGateway, upstream: FakeUpstream) -> None:
    await said(gateway, "mine")
    async with parts_of(gateway.settings) as parts:
        other = await parts.keys.create(name="other", account="test", pays_unknown_prices=True)
    assert (await said(gateway, "mine", key=other.secret))[::2] == (200, None)
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("name", ["", "x" * 256, "caf\xe9"])
async def test_a_name_that_is_none_is_refused(gateway: RunningGateway, upstream: FakeUpstream, name: str) -> None:
    status, body, _ = await said(gateway, name)
    assert (status, json.loads(body)["error"]["param"]) == (400, "Idempotency-Key")
    assert not upstream.asked
