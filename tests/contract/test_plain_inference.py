"""Completions of bare text, and embeddings, by the official SDK, through providers with OpenAI's form."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from tests.support.fake_upstream import FakeUpstream, vector_of
from tests.support.gateway import RunningGateway, listing, parts_of, running_gateway
from tests.support.patience import PATIENCE

from gatewayz.accounts.scopes import ACCOUNT, INFERENCE
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.providers.listing import ListedModel

TEXT, VECTORS, CHATS_ONLY = "writer-1", "vectors-1", "chats-only-1"
PRICE = Decimal("0.001")
PRICES = {"prompt": PRICE, "completion": 2 * PRICE}
WRITER = ListedModel(native_id=TEXT, prices=PRICES)
EMBEDDER = ListedModel(native_id=VECTORS, prices={"prompt": PRICE})
LISTS = (
    listing("acme", WRITER, EMBEDDER),
    listing("beta", WRITER, EMBEDDER),
    listing("claudia", ListedModel(native_id=CHATS_ONLY, prices=PRICES), WRITER),
)

World = tuple[RunningGateway, FakeUpstream]


@pytest.fixture(scope="module")
async def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeUpstream().running() as upstream:
        providers: dict[str, Any] = {
            name: {"base_url": upstream.base_url(name), "api_key": f"sk-{name}"} for name in ("acme", "beta", "claudia")
        }
        providers["claudia"]["dialect"] = "anthropic"
        async with running_gateway(servers, tmp_path_factory.mktemp("plain"), LISTS, providers=providers) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(world: World) -> FakeUpstream:
    _, upstream = world
    upstream.reset()
    upstream.behaviours = {"acme": "answers", "beta": "answers"}
    return upstream


async def client_of(gateway: RunningGateway, dollars: int) -> AsyncOpenAI:
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="key", account=f"plain-{dollars}", credits=nano_usd(Decimal(dollars)), scopes=(INFERENCE, ACCOUNT)
        )
    return AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=made.secret, max_retries=0)


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncOpenAI]:
    async with await client_of(world[0], 100) as client:
        yield client


async def charged(gateway: RunningGateway, client: AsyncOpenAI, generation: str) -> dict[str, Any]:
    """What a request cost, once it is settled."""
    async with gateway.client(Authorization=f"Bearer {client.api_key}") as http, asyncio.timeout(PATIENCE):
        while True:
            async with http.get(gateway.at(f"/v1/generation/{generation}")) as response:
                if response.status == 200:
                    found: dict[str, Any] = json.loads(await response.read())
                    return found
            await asyncio.sleep(0.02)


async def test_a_text_is_completed_and_charged_and_goes_through_as_it_came(
    world: World, upstream: FakeUpstream, client: AsyncOpenAI
) -> None:
    answered = await client.completions.with_raw_response.create(
        model=TEXT, prompt=["Once", "Twice"], max_tokens=5, suffix="!", extra_body={"unknown": [1, None]}
    )
    completion = answered.parse()
    assert [choice.text for choice in completion.choices] == ["Hello", "Hello"]
    (asked,) = upstream.asked
    assert asked.body == {
        "model": TEXT,
        "prompt": ["Once", "Twice"],
        "max_tokens": 5,
        "suffix": "!",
        "unknown": [1, None],
    }
    found = await charged(world[0], client, answered.headers["x-generation-id"])
    assert (Decimal(found["cost"]), found["provider"]) == (3 * PRICE, "acme")


async def test_a_completion_streams_and_is_charged_by_its_usage(
    world: World, upstream: FakeUpstream, client: AsyncOpenAI
) -> None:
    answered = await client.completions.with_raw_response.create(model=TEXT, prompt="Once", stream=True, max_tokens=5)
    chunks = [chunk async for chunk in answered.parse()]
    assert len(chunks) == 2, "nobody asked for the usage"
    assert upstream.asked[0].body["stream_options"] == {"include_usage": True}
    found = await charged(world[0], client, answered.headers["x-generation-id"])
    assert (Decimal(found["cost"]), found["is_stream"]) == (3 * PRICE, True)


async def test_vectors_come_back_and_cost_the_tokens_of_the_texts(
    world: World, upstream: FakeUpstream, client: AsyncOpenAI
) -> None:
    answered = await client.embeddings.with_raw_response.create(model=VECTORS, input=["one", "two", "three"])
    embeddings = answered.parse()
    assert [each.embedding for each in embeddings.data] == [vector_of(text) for text in ("one", "two", "three")]
    assert embeddings.usage.prompt_tokens == 6
    assert upstream.asked[0].body["encoding_format"] == "base64"
    found = await charged(world[0], client, answered.headers["x-generation-id"])
    assert (Decimal(found["cost"]), found["completion_tokens"]) == (6 * PRICE, 0)


@pytest.mark.usefixtures("upstream")
async def test_vectors_without_a_word_on_usage_cost_about_their_texts_and_not_their_own_bytes(
    world: World, client: AsyncOpenAI
) -> None:
    answered = await client.embeddings.with_raw_response.create(model=VECTORS, input=["no usage"])
    found = await charged(world[0], client, answered.headers["x-generation-id"])
    assert found["completion_tokens"] == 0
    assert 0 < found["prompt_tokens"] < 40


async def test_tokens_may_be_given_as_numbers(upstream: FakeUpstream, client: AsyncOpenAI) -> None:
    await client.embeddings.create(model=VECTORS, input=[[1, 2, 3], [4]])
    assert upstream.asked[0].body["input"] == [[1, 2, 3], [4]]


@pytest.mark.parametrize("behaviour", ["429", "500", "breaks"])
async def test_when_one_provider_fails_the_next_is_asked(
    upstream: FakeUpstream, client: AsyncOpenAI, behaviour: str
) -> None:
    upstream.behaviours["acme"] = behaviour
    embeddings = await client.embeddings.with_raw_response.create(model=VECTORS, input="one")
    assert embeddings.headers["x-gatewayz-provider"] == "beta"
    completion = await client.completions.with_raw_response.create(model=TEXT, prompt="one", max_tokens=5)
    assert completion.headers["x-gatewayz-provider"] == "beta"


async def test_the_hold_is_for_every_prompt_and_all_the_answers_made(world: World, upstream: FakeUpstream) -> None:
    async with await client_of(world[0], 1) as poor:  # 1000 tokens of a prompt, or 500 of an answer
        await poor.completions.create(model=TEXT, prompt="one", max_tokens=100)
        for many in ({"n": 6}, {"best_of": 6}, {"prompt": ["one"] * 6}):
            with pytest.raises(openai.RateLimitError) as refused:
                await poor.completions.create(**{"model": TEXT, "prompt": "one", "max_tokens": 100, **many})  # type: ignore[call-overload]
            assert refused.value.code == "insufficient_quota"
    assert len(upstream.asked) == 1


async def test_who_answers_chats_only_says_so(upstream: FakeUpstream, client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.completions.create(model=CHATS_ONLY, prompt="one", max_tokens=5)
    assert refused.value.param == "model"
    assert "/v1/chat/completions" in refused.value.message
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model="demo/echo", input="one")
    assert not upstream.asked


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"model": TEXT}, "prompt"),
        ("completions", {"model": TEXT, "prompt": []}, "prompt"),
        ("completions", {"model": TEXT, "prompt": 7}, "prompt"),
        ("completions", {"model": TEXT, "prompt": "x", "best_of": 0}, "best_of"),
        ("embeddings", {"model": VECTORS}, "input"),
        ("embeddings", {"model": VECTORS, "input": []}, "input"),
        ("embeddings", {"input": "x"}, "model"),
        ("embeddings", {"model": "no/such-model", "input": "x"}, "model"),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_by_its_field(
    world: World, path: str, body: dict[str, Any], param: str
) -> None:
    gateway, _ = world
    async with (
        gateway.client(**gateway.bearer) as http,
        http.post(gateway.at(f"/v1/{path}"), json=body) as response,
    ):
        assert json.loads(await response.read())["error"]["param"] == param
        assert response.status in {400, 404}
