"""The official SDK, unchanged, with only base URL and key."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from tests.support.gateway import RunningGateway

HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello to the world"},
]


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.api_key, max_retries=0) as client:
        yield client


async def test_models_can_be_listed(client: AsyncOpenAI) -> None:
    page = await client.models.list()
    assert "demo/echo" in {model.id for model in page.data}
    assert len(page.data) > 1000
    assert all(model.object == "model" and model.owned_by for model in page.data)


async def test_a_model_can_be_retrieved_by_author_and_slug(client: AsyncOpenAI) -> None:
    model = await client.models.retrieve("openai/gpt-4o")
    assert (model.id, model.object, model.owned_by) == ("openai/gpt-4o", "model", "openai")


async def test_a_chat_is_answered_whole(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="demo/echo", messages=HELLO)
    assert completion.choices[0].message.content == "Hello to the world"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_a_chat_streams_word_by_word_without_usage_unless_asked(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="demo/echo", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello to the world"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    assert len(chunks) > 4


async def test_a_stream_ends_with_its_usage_if_asked(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="demo/echo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    last = [chunk async for chunk in stream][-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 4


async def test_a_wrong_key_is_an_authentication_error(client: AsyncOpenAI) -> None:
    stranger = client.with_options(api_key="gw_live_wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        await stranger.chat.completions.create(model="demo/echo", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.type == "authentication_error"


async def test_an_unknown_model_is_a_not_found_error_that_names_it(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="no/such-model", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "no/such-model" in caught.value.message
    with pytest.raises(openai.NotFoundError) as retrieved:
        await client.models.retrieve("no/such-model")
    assert retrieved.value.code == "model_not_found"


async def test_a_request_without_messages_is_a_bad_request_that_names_the_field(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="demo/echo", messages=[])
    assert caught.value.param == "messages"


async def test_a_model_of_no_configured_provider_is_an_error_that_says_so(client: AsyncOpenAI) -> None:
    page = await client.models.list(extra_query={"gateway": "doubleword"})  # not in the table: nothing configures it
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model=page.data[0].id, messages=HELLO)
    assert caught.value.status_code == 503
    assert caught.value.code == "provider_not_configured"


async def test_every_answer_of_the_sdk_knows_its_request_id(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="demo/echo", messages=HELLO, extra_headers={"x-request-id": "my-own-id-1"}
    )
    assert completion._request_id == "my-own-id-1"


async def test_the_blocking_client_works_as_well(gateway: RunningGateway) -> None:
    def talk() -> tuple[str, str | None, str]:
        with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.api_key, max_retries=0) as client:
            model = client.models.retrieve("openai/gpt-4o").id
            whole = client.chat.completions.create(model="demo/echo", messages=HELLO).choices[0].message.content
            stream = client.chat.completions.create(model="demo/echo", messages=HELLO, stream=True)
            return model, whole, "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert await asyncio.to_thread(talk) == ("openai/gpt-4o", "Hello to the world", "Hello to the world")
