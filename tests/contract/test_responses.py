"""OpenAI's SDK asks in the form of Responses, unchanged, with only base URL and key."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from tests.support.native_upstream import recorded, refusal, streamed, whole
from tests.support.surfaces_world import CLAUDE, ECHO, ROCKET, SurfacesWorld

TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("get_weather", "get_time")
]


class Sky(BaseModel):
    color: str


@pytest.fixture
async def client(surfaces: SurfacesWorld, payer: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{surfaces.gateway.url}/v1", api_key=payer, max_retries=0) as client:
        yield client


async def test_a_response_is_whole_and_says_what_was_asked(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model=ECHO, input="Hello to the world", instructions="Be brief.")
    assert response.output_text == "Hello to the world"
    assert (response.status, response.instructions) == ("completed", "Be brief.")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_functions_are_called_and_everything_goes_back_as_it_came(
    surfaces: SurfacesWorld, client: AsyncOpenAI, *, is_streaming: bool
) -> None:
    surfaces.native.replies = {"claudia": (streamed if is_streaming else whole)("anthropic/tools")}
    asked: dict[str, Any] = {"model": CLAUDE, "tools": TOOLS, "include": ["reasoning.encrypted_content"]}
    question: list[Any] = [{"role": "user", "content": "Weather and time?"}]
    if is_streaming:
        async with client.responses.stream(input=question, **asked) as stream:
            response: Any = await stream.get_final_response()
    else:
        response = await client.responses.create(input=question, **asked)
    thought, said, weather, time = response.output
    assert thought.summary[0].text == "Two cities, two calls."
    assert said.content[0].text == "I look both up."
    assert (weather.name, json.loads(weather.arguments), weather.call_id) == (
        *("get_weather", {"city": "Graz", "days": 2}),
        "toolu_01A",
    )
    assert (time.name, json.loads(time.arguments)) == ("get_time", {})
    assert (response.usage.input_tokens, response.usage.output_tokens) == (472, 91)
    surfaces.native.replies = {"claudia": whole("anthropic/answer")}
    results: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in (weather, time)
    ]
    history = [item.model_dump(exclude_none=True) for item in response.output]
    await client.responses.create(input=[*question, *history, *results], **asked)
    body = surfaces.native.asked[-1].body
    assert body["messages"][1]["content"] == json.loads(recorded("anthropic/tools.json"))["content"]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["toolu_01A", "toolu_01B"]


async def test_a_stream_tells_its_events_in_order_and_numbers_them(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model=ECHO, input="Hello to the world", stream=True)
    events: list[Any] = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello to the world"
    )
    assert events[-1].response.output_text == "Hello to the world"
    assert events[-1].response.usage.output_tokens == 4


async def test_an_answer_has_the_form_that_was_asked_for(surfaces: SurfacesWorld, client: AsyncOpenAI) -> None:
    said = json.loads(recorded("anthropic/answer.json"))
    said["content"] = [{"type": "text", "text": '{"color": "blue"}'}]
    surfaces.native.replies = {"claudia": refusal(200, said)}
    response = await client.responses.parse(model=CLAUDE, input="Which color?", text_format=Sky)
    assert response.output_parsed == Sky(color="blue")
    asked = surfaces.native.asked[-1].body["output_config"]["format"]
    assert (asked["type"], asked["schema"]["required"]) == ("json_schema", ["color"])


async def test_one_conversation_in_three_forms_is_one_call_and_then_hits(surfaces: SurfacesWorld, payer: str) -> None:
    word = secrets.token_hex(8)
    turns = [
        {"role": role, "content": text} for role, text in (("user", word), ("assistant", "Yes."), ("user", "Why?"))
    ]
    asked: dict[str, dict[str, Any]] = {
        "chat/completions": {"messages": [{"role": "system", "content": "Be brief."}, *turns], "max_tokens": 64},
        "responses": {"input": turns, "instructions": "Be brief.", "max_output_tokens": 64},
        "messages": {"messages": turns, "system": "Be brief.", "max_tokens": 64},
    }
    caches: list[str] = []
    async with surfaces.gateway.client(Authorization=f"Bearer {payer}") as http:
        for stream in (False, True):
            for path, fields in asked.items():
                body = {"model": ROCKET, "temperature": 1, "stream": stream, **fields}
                async with http.post(surfaces.gateway.at(f"/v1/{path}"), json=body) as response:
                    await response.read()
                    caches.append(response.headers["x-cache"])
    assert caches == ["MISS", *5 * ["HIT"]]
    assert len(surfaces.telling.asked) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", True),
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("tools", [{"type": "web_search"}]),
        ("tool_choice", {"type": "file_search"}),
        ("include", ["web_search_call.action.sources"]),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"role": "wizard", "content": "x"}]),
        ("input", 7),
        ("max_output_tokens", "many"),
        ("temperature", "hot"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(client: AsyncOpenAI, field: str, value: object) -> None:
    asked: Any = {"model": ECHO, "input": "Hello", field: value}
    if field == "temperature":
        await client.responses.create(**asked)  # the provider's to judge, and this one does not care
        return
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(**asked)
    assert caught.value.param == field
    assert repr(field) in caught.value.message


async def test_a_stream_that_breaks_is_never_completed(surfaces: SurfacesWorld, payer: str) -> None:
    surfaces.native.replies = {"claudia": streamed("anthropic/overloaded_midway")}
    body = {"model": CLAUDE, "input": secrets.token_hex(4), "stream": True}
    async with (
        surfaces.gateway.client(Authorization=f"Bearer {payer}") as http,
        http.post(surfaces.gateway.at("/v1/responses"), json=body) as response,
    ):
        received, is_cut = b"", False
        try:
            async for chunk in response.content.iter_any():
                received += chunk
        except aiohttp.ClientPayloadError:
            is_cut = True
    events = [line for line in received.splitlines() if line.startswith(b"event: ")]
    assert is_cut
    assert (events[0], events[-1]) == (b"event: response.created", b"event: error")
    assert b"event: response.completed" not in events
