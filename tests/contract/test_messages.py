"""Anthropic's SDK, unchanged, with only base URL and key, over providers of every dialect."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from tests.support.native_upstream import recorded, refusal, streamed, whole
from tests.support.surfaces_world import CLAUDE, ECHO, ROCKET, SurfacesWorld

HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
TOOLS: list[Any] = [
    {"name": name, "input_schema": {"type": "object", "properties": {}}} for name in ("get_weather", "get_time")
]


@pytest.fixture
async def client(surfaces: SurfacesWorld, payer: str) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=surfaces.gateway.url, api_key=payer, max_retries=0) as client:
        yield client


async def test_a_message_comes_back_as_the_provider_said_it(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    surfaces.native.replies = {"claudia": whole("anthropic/tools")}
    message = await client.messages.create(model=CLAUDE, max_tokens=2000, messages=HELLO, tools=TOOLS)
    said = json.loads(recorded("anthropic/tools.json"))
    assert [block.model_dump(exclude_none=True, exclude={"caller"}) for block in message.content] == said["content"]
    assert (message.stop_reason, message.stop_sequence, message.role) == ("tool_use", None, "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (472, 91)
    assert message.id == said["id"]


async def test_what_the_providers_cache_held_is_told_apart(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    surfaces.native.replies = {"claudia": whole("anthropic/answer")}
    message = await client.messages.create(model=CLAUDE, max_tokens=100, messages=HELLO)
    said = json.loads(recorded("anthropic/answer.json"))["usage"]
    counts = {name: count for name, count in said.items() if isinstance(count, int)}
    assert {name: getattr(message.usage, name) for name in counts} == counts


async def test_a_stream_says_the_same_block_by_block(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    surfaces.native.replies = {"claudia": streamed("anthropic/tools")}
    async with client.messages.stream(model=CLAUDE, max_tokens=2000, messages=HELLO, tools=TOOLS) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()
    said = json.loads(recorded("anthropic/tools.json"))
    assert [
        block.model_dump(exclude_none=True, exclude={"caller", "parsed_output"}) for block in message.content
    ] == said["content"]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (472, 91)
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 5


async def test_a_request_reaches_a_claude_as_it_was_asked(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    surfaces.native.replies = {"claudia": whole("anthropic/answer")}
    marker = {"type": "ephemeral"}
    turns: list[Any] = [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "text", "text": "What is it?", "cache_control": marker},
            ],
        },
        {"role": "assistant", "content": json.loads(recorded("anthropic/tools.json"))["content"]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01A", "content": [{"type": "text", "text": "rain"}]},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01B",
                    "is_error": True,
                    "cache_control": marker,
                    "content": [{"type": "text", "text": "no clock"}],
                },
            ],
        },
    ]
    system: list[Any] = [{"type": "text", "text": "Be brief.", "cache_control": marker}]
    asked: dict[str, Any] = {
        "model": CLAUDE,
        "max_tokens": 2000,
        "messages": turns,
        "system": system,
        "tools": [{**TOOLS[0], "description": "Rain?", "cache_control": marker}, TOOLS[1]],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "metadata": {"user_id": "u1"},
    }
    await client.messages.create(**asked, extra_body={"top_k": 5, "temperature": 1})
    assert surfaces.native.asked[-1].body == asked | {"top_k": 5, "temperature": 1}


async def test_what_stopped_the_answer_is_told(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    said = json.loads(recorded("anthropic/answer.json")) | {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    surfaces.native.replies = {"claudia": refusal(200, said)}
    for _ in range(2):  # the second is kept
        message = await client.messages.create(model=CLAUDE, max_tokens=9, messages=HELLO, stop_sequences=["END"])
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")
    assert len(surfaces.native.asked) == 1


async def test_other_providers_answer_too_and_an_answer_is_kept_for_both_forms(
    surfaces: SurfacesWorld, client: AsyncAnthropic, payer: str
) -> None:
    question: list[Any] = [{"role": "user", "content": secrets.token_hex(8)}]
    first = await client.messages.with_raw_response.create(
        model=ROCKET, max_tokens=64, messages=question, system="Be brief."
    )
    assert first.headers["x-cache"] == "MISS"
    (block,) = (await first.parse()).content
    again = await client.messages.with_raw_response.create(
        model=ROCKET, max_tokens=64, messages=question, system=[{"type": "text", "text": "Be brief."}]
    )
    assert again.headers["x-cache"] == "HIT"
    hit = await again.parse()
    assert hit.content == [block]
    assert hit.usage.output_tokens == 0, "nothing was used"
    async with client.messages.stream(model=ROCKET, max_tokens=64, messages=question, system="Be brief.") as stream:
        assert (await stream.get_final_message()).content[0].model_dump()["text"] == block.model_dump()["text"]
        assert stream.response.headers["x-cache"] == "HIT"
    chat = [{"role": "system", "content": "Be brief."}, *question]
    async with (
        surfaces.gateway.client(Authorization=f"Bearer {payer}") as http,
        http.post(
            surfaces.gateway.at("/v1/chat/completions"), json={"model": ROCKET, "messages": chat, "max_tokens": 64}
        ) as response,
    ):
        assert response.headers["x-cache"] == "HIT"
        kept = json.loads(await response.read())
    assert kept["choices"][0]["message"]["content"] == block.model_dump()["text"]


async def test_errors_are_of_the_classes_that_anthropics_are(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    async def refused(kind: type[anthropic.APIStatusError], **asked: object) -> dict[str, Any]:
        fields: Any = {"model": ECHO, "max_tokens": 9, "messages": HELLO, **asked}
        with pytest.raises(kind) as caught:
            await client.messages.create(**fields)
        body: Any = caught.value.body
        assert body["type"] == "error"
        assert body["request_id"] == caught.value.response.headers["x-request-id"]
        told: dict[str, Any] = body["error"]
        return told

    assert (await refused(anthropic.NotFoundError, model="no/such"))["type"] == "not_found_error"
    told = await refused(anthropic.BadRequestError, tools=[{"type": "web_search_20250305", "name": "web_search"}])
    assert told["type"] == "invalid_request_error"
    assert "'tools'" in told["message"]
    assert "'messages'" in (await refused(anthropic.BadRequestError, messages=[]))["message"]
    for block in ({"type": "container_upload", "file_id": "x"}, {"type": "search_result", "title": "x"}):
        told = await refused(anthropic.BadRequestError, messages=[{"role": "user", "content": [block]}])
        assert "'messages'" in told["message"]
    surfaces.native.replies = {"claudia": refusal(529, {"type": "error", "error": {"type": "overloaded_error"}})}
    assert (await refused(anthropic.InternalServerError, model=CLAUDE))["type"] == "api_error"
    stranger = client.with_options(api_key="gw_live_wrong")
    with pytest.raises(anthropic.AuthenticationError):
        await stranger.messages.create(model=ECHO, max_tokens=9, messages=HELLO)


async def test_a_stream_that_breaks_is_an_error_and_never_whole(
    surfaces: SurfacesWorld, client: AsyncAnthropic
) -> None:
    surfaces.native.replies = {"claudia": streamed("anthropic/overloaded_midway")}
    with pytest.raises(anthropic.APIError):
        async with client.messages.stream(model=CLAUDE, max_tokens=90, messages=HELLO) as stream:
            await stream.get_final_message()


async def test_a_request_with_a_name_runs_once(client: AsyncAnthropic) -> None:
    named = {"Idempotency-Key": secrets.token_hex(8)}
    first = await client.messages.create(model=ECHO, max_tokens=9, messages=HELLO, extra_headers=named)
    again = await client.messages.with_raw_response.create(
        model=ECHO, max_tokens=9, messages=HELLO, extra_headers=named
    )
    assert again.headers["idempotency-replayed"] == "true"
    assert await again.parse() == first
