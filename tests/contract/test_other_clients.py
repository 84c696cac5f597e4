"""LangChain and LiteLLM's client, unchanged, with only base URL and key: chats, streams, tools and vectors.

They need 400 MB, so they have an environment of their own, and one process each.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from tests.support.fake_upstream import USAGE, FakeUpstream, vector_of
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway

from gatewayz.accounts.scopes import INFERENCE
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
PROGRAMS = ROOT / "tests" / "clients"
LISTS = (listing("acme", listed("rocket-1", "0.001"), listed("vectors-1", "0.001")),)
# What they would fetch from elsewhere, or tell there.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "true", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1"}
WITHIN = 120.0


class Client(Struct, frozen=True):
    """`said`: what it got. `asked`: the texts for which the provider was asked on its behalf, call by call."""

    said: dict[str, Any]
    asked: list[list[str]]


World = tuple[RunningGateway, FakeUpstream]


@pytest.fixture(scope="module")
async def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    if not (PYTHON.parent.parent / "made").exists():
        missing = "LangChain and LiteLLM are not installed: `make clients` does that"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    async with FakeUpstream().running() as upstream:
        providers = {"acme": {"base_url": upstream.base_url("calls"), "api_key": "sk-acme"}}
        data_dir = tmp_path_factory.mktemp("clients")
        async with running_gateway(
            servers, data_dir, LISTS, providers=providers, responses={"enabled": True}
        ) as gateway:
            yield gateway, upstream


@pytest.fixture(scope="module", params=["langchain", "litellm"])
async def client(request: pytest.FixtureRequest, world: World) -> Client:
    gateway, upstream = world
    upstream.reset()
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="client", account=request.param, scopes=(INFERENCE,), credits=nano_usd(Decimal(100))
        )
    said = await run(f"{request.param}_client.py", gateway.url, made.secret, "rocket-1", "vectors-1")
    return Client(said, [each.body["input"] for each in upstream.asked if "input" in each.body])


async def run(program: str, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        PROGRAMS / program,
        *arguments,
        env={**os.environ, **OFFLINE},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), WITHIN)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, errors.decode()[-4000:]
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.parametrize("form", ["openai", "anthropic"])
async def test_a_client_of_either_form_chats_whole_and_streamed(client: Client, form: str) -> None:
    said = client.said[form]
    assert (said["whole"], said["stream"]) == ("Hello", "Hello")
    assert said["tokens"] in {USAGE["total_tokens"], 0}, "the other form's answer may be kept by now"


@pytest.mark.parametrize("form", ["openai", "anthropic"])
async def test_a_client_of_either_form_has_tools_called_and_says_what_they_gave(client: Client, form: str) -> None:
    said = client.said[form]
    assert said["call"] == said["streamed call"] == {"name": "weather", "args": {"city": "Oslo"}}
    assert said["after the call"] == "Hello"


async def test_vectors_come_in_order_and_each_text_is_asked_for_once(client: Client) -> None:
    first, second = client.said["vectors"]
    assert first == [vector_of(text) for text in ("one", "two")]
    assert second == [vector_of(text) for text in ("two", "three", "two")]
    assert client.asked == [["one", "two"], ["three"]]
