"""OpenAI's SDK gets its answers from providers that speak Anthropic's and Gemini's formats."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from tests.support.gateway import RunningGateway, listing, parts_of, running_gateway
from tests.support.native_upstream import NativeUpstream, Reply, recorded, refusal, streamed, whole
from tests.support.patience import PATIENCE

from gatewayz.accounts.scopes import ACCOUNT, INFERENCE
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.providers.listing import ListedModel

CLAUDE, GEMINI, BOTH = "claude-sonnet-4-5", "gemini-2.5-flash", "either-1"
KEYS = {"claudia": "sk-ant-very-secret", "geminus": "AIza-very-secret"}
RECORDINGS = {CLAUDE: "anthropic", GEMINI: "gemini"}
PROMPT, READ, WRITTEN, ANSWER = (Decimal(each) for each in ("0.000003", "0.0000003", "0.00000375", "0.000015"))
TEXT = "The sky scatters blue. So it looks blue."
HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]

World = tuple[RunningGateway, NativeUpstream]


def priced(native_id: str, prompt: Decimal) -> ListedModel:
    prices = {"prompt": prompt, "completion": ANSWER, "input_cache_read": READ, "input_cache_write": WRITTEN}
    return ListedModel(native_id=native_id, prices=prices, max_output_tokens=64_000)


LISTS = (
    listing("claudia", priced(CLAUDE, PROMPT), priced(BOTH, PROMPT / 2)),
    listing("geminus", priced(GEMINI, PROMPT), priced(BOTH, PROMPT)),
)


@pytest.fixture(scope="module")
async def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with NativeUpstream().running() as upstream:
        providers = {
            name: {"base_url": f"{upstream.url}/{name}", "api_key": KEYS[name], "dialect": dialect}
            for name, dialect in (("claudia", "anthropic"), ("geminus", "gemini"))
        }
        async with running_gateway(servers, tmp_path_factory.mktemp("native"), LISTS, providers=providers) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(world: World) -> NativeUpstream:
    _, upstream = world
    upstream.reset()
    return upstream


@pytest.fixture
async def client(world: World) -> AsyncIterator[AsyncOpenAI]:
    """With a key of its own, whose account can pay."""
    gateway, _ = world
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="key", account="native", credits=nano_usd(Decimal(10)), scopes=(INFERENCE, ACCOUNT)
        )
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=made.secret, max_retries=0) as client:
        yield client


async def charged(gateway: RunningGateway, client: AsyncOpenAI, generation: str) -> dict[str, Any]:
    """What a request cost, once it is settled."""
    headers = {"Authorization": f"Bearer {client.api_key}"}
    async with gateway.client(**headers) as http, asyncio.timeout(PATIENCE):
        while True:
            async with http.get(gateway.at(f"/v1/generation/{generation}")) as response:
                if response.status == 200:
                    found: dict[str, Any] = json.loads(await response.read())
                    return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_a_chat_is_answered_whole_with_its_usage_and_charged_to_the_nano_dollar(
    world: World, upstream: NativeUpstream, client: AsyncOpenAI, model: str
) -> None:
    upstream.replies = {name: whole(f"{RECORDINGS[model]}/answer") for name in KEYS}
    answered = await client.chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=100)
    completion = answered.parse()
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
    usage = completion.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1320, 11, 1331)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 1000
    found = await charged(world[0], client, answered.headers["x-generation-id"])
    written = 300 if model == CLAUDE else 0
    cost = PROMPT * (320 - written) + READ * 1000 + WRITTEN * written + ANSWER * 11
    assert Decimal(found["cost"]) == cost
    assert (found["prompt_tokens"], found["completion_tokens"], found["cached_tokens"]) == (1320, 11, 1000)
    thoughts = 3 if model == GEMINI else 0  # Anthropic counts them as it counts the rest
    assert (found["cache_write_tokens"], found["reasoning_tokens"]) == (written, thoughts)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_a_stream_says_the_same_word_by_word_and_costs_the_same(
    world: World, upstream: NativeUpstream, client: AsyncOpenAI, model: str
) -> None:
    upstream.replies = {name: streamed(f"{RECORDINGS[model]}/answer") for name in KEYS}
    stream = await client.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream.parse()]
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content] == [
        *("The sky scatters", " blue.", " So it looks blue.")
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert not last.choices
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (1320, 11)
    found = await charged(world[0], client, stream.headers["x-generation-id"])
    written = 300 if model == CLAUDE else 0
    assert Decimal(found["cost"]) == PROMPT * (320 - written) + READ * 1000 + WRITTEN * written + ANSWER * 11


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_who_did_not_ask_for_usage_does_not_see_it_in_the_stream(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str
) -> None:
    upstream.replies = {name: streamed(f"{RECORDINGS[model]}/answer") for name in KEYS}
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    assert all(chunk.choices and chunk.usage is None for chunk in [chunk async for chunk in stream])


@pytest.mark.parametrize("is_streaming", [False, True])
@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_tools_are_called_and_their_results_and_thoughts_go_back(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str, *, is_streaming: bool
) -> None:
    reply = streamed if is_streaming else whole
    upstream.replies = {name: reply(f"{RECORDINGS[model]}/tools") for name in KEYS}
    completion: Any
    if is_streaming:
        async with client.chat.completions.stream(model=model, messages=HELLO, tools=TOOLS) as stream:
            completion = await stream.get_final_completion()
    else:
        completion = await client.chat.completions.create(model=model, messages=HELLO, tools=TOOLS)
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    message = choice.message
    assert message.content == "I look both up."
    assert message.model_dump()["reasoning_content"] == "Two cities, two calls."
    calls = message.tool_calls or []
    named = [(call.function.name, json.loads(call.function.arguments)) for call in calls if call.type == "function"]
    assert named == [("get_weather", {"city": "Graz", "days": 2}), ("get_time", {})]
    results: list[Any] = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {number}"} for number, call in enumerate(calls)
    ]
    said: Any = message.model_dump(exclude_none=True)
    upstream.replies = {name: whole(f"{RECORDINGS[model]}/answer") for name in KEYS}
    await client.chat.completions.create(model=model, messages=[*HELLO, said, *results[::-1]], tools=TOOLS)
    body = upstream.asked[-1].body
    if model == CLAUDE:
        assert body["messages"][1]["content"] == json.loads(recorded("anthropic/tools.json"))["content"]
        assert {block["tool_use_id"]: block["content"][0]["text"] for block in body["messages"][2]["content"]} == {
            calls[0].id: "result 0",
            calls[1].id: "result 1",
        }
    else:
        recorded_parts = json.loads(recorded("gemini/tools.json"))["candidates"][0]["content"]["parts"]
        assert body["contents"][1]["parts"] == recorded_parts[1:]
        responses = [part["functionResponse"] for part in body["contents"][2]["parts"]]
        assert responses == [
            {"name": "get_weather", "response": {"output": "result 0"}},
            {"name": "get_time", "response": {"output": "result 1"}},
        ]


async def test_each_provider_is_asked_in_its_own_way_with_its_own_key(
    upstream: NativeUpstream, client: AsyncOpenAI
) -> None:
    upstream.replies = {"claudia": whole("anthropic/answer"), "geminus": streamed("gemini/answer")}
    await client.chat.completions.create(model=CLAUDE, messages=HELLO)
    async for _ in await client.chat.completions.create(model=GEMINI, messages=HELLO, stream=True):
        pass
    claude, gemini = upstream.asked
    assert claude.path == "/claudia/messages"
    assert (claude.headers["x-api-key"], claude.headers["anthropic-version"]) == (KEYS["claudia"], "2023-06-01")
    assert claude.body["max_tokens"] == 64_000, "what the catalog knows, where the caller sets no bound"
    assert gemini.path == f"/geminus/models/{GEMINI}:streamGenerateContent?alt=sse"
    assert gemini.headers["x-goog-api-key"] == KEYS["geminus"]
    for asked in upstream.asked:
        assert client.api_key not in str(asked.headers)


OVERLOADED = {
    "claudia": refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "geminus": refusal(
        429, {"error": {"code": 429, "message": "You exceeded your quota.", "status": "RESOURCE_EXHAUSTED"}}
    ),
}


@pytest.mark.parametrize(("model", "name"), [(CLAUDE, "claudia"), (GEMINI, "geminus")])
async def test_an_overloaded_provider_is_a_502_with_its_reason(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str, name: str
) -> None:
    upstream.replies = OVERLOADED
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model=model, messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (502, "provider_error")
    reason = {"claudia": "overloaded_error", "geminus": "RESOURCE_EXHAUSTED"}[name]
    assert reason in caught.value.message
    assert {"claudia": "Overloaded", "geminus": "You exceeded"}[name] in caught.value.message


@pytest.mark.parametrize(
    "trouble",
    [
        OVERLOADED["claudia"],
        streamed("anthropic/overloaded_at_once"),
        streamed("anthropic/answer", is_cut=True, of_it=0.3),
        Reply(body=b"<html>no JSON at all</html>"),
        refusal(401, {"type": "error", "error": {"type": "authentication_error", "message": KEYS["claudia"]}}),
        refusal(
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Your credit balance is too low to access the Anthropic API.",
                },
            },
        ),
    ],
    ids=["overloaded", "overloaded in the stream", "cut before a word", "no JSON", "our key", "our balance"],
)
async def test_trouble_of_one_provider_before_its_first_word_leads_to_another_in_another_format(
    upstream: NativeUpstream, client: AsyncOpenAI, trouble: Reply
) -> None:
    upstream.replies = {"claudia": trouble, "geminus": streamed("gemini/answer")}
    stream = await client.chat.completions.create(model=BOTH, messages=HELLO, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT
    assert [asked.path.split("/")[1] for asked in upstream.asked] == ["claudia", "geminus"]


@pytest.mark.parametrize(
    ("model", "reply", "reason"),
    [
        (CLAUDE, streamed("anthropic/overloaded_midway"), "broke off with 'overloaded_error': Overloaded"),
        (CLAUDE, streamed("anthropic/answer", is_cut=True, of_it=0.6), "does not answer (ClientPayloadError)"),
        (CLAUDE, streamed("anthropic/answer", of_it=0.6), "ended its stream before its answer was whole"),
        (CLAUDE, streamed("anthropic/answer", of_it=0.95), "ended its stream before its answer was whole"),
        (GEMINI, streamed("gemini/overloaded_midway"), "broke off with 'UNAVAILABLE': The model is overloaded"),
        (GEMINI, streamed("gemini/answer", is_cut=True, of_it=0.5), "does not answer (ClientPayloadError)"),
        (GEMINI, streamed("gemini/answer", of_it=0.5), "ended before its answer was whole"),
    ],
)
async def test_a_stream_that_breaks_in_the_middle_ends_with_an_error_and_never_as_if_it_were_whole(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str, reply: Reply, reason: str
) -> None:
    upstream.replies = dict.fromkeys(KEYS, reply)
    said = ""
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012  what comes before the error counts, too
        async for chunk in await client.chat.completions.create(model=model, messages=HELLO, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said.startswith("The sky")
    assert caught.value.code == "provider_error"
    assert reason in caught.value.message


async def test_a_blocked_prompt_is_a_bad_request_that_says_so(upstream: NativeUpstream, client: AsyncOpenAI) -> None:
    upstream.replies = {"geminus": whole("gemini/blocked")}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=GEMINI, messages=HELLO)
    assert caught.value.code == "content_filter"
    assert "PROHIBITED_CONTENT" in caught.value.message


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_what_a_provider_cannot_do_is_refused_by_name_with_the_remedy(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=model, messages=HELLO, logit_bias={"50256": -100})
    assert (caught.value.param, caught.value.code) == ("logit_bias", "invalid_request")
    assert "leave it out" in caught.value.message
    assert not upstream.asked


async def test_what_one_provider_cannot_do_is_asked_of_the_next_that_can(
    upstream: NativeUpstream, client: AsyncOpenAI
) -> None:
    upstream.replies = {"claudia": whole("anthropic/answer"), "geminus": whole("gemini/answer")}
    await client.chat.completions.create(model=BOTH, messages=HELLO)
    await client.chat.completions.create(model=BOTH, messages=HELLO, seed=7)
    claude, gemini = upstream.asked
    assert claude.path == "/claudia/messages"
    assert gemini.body["generationConfig"]["seed"] == 7


@pytest.mark.parametrize(("model", "dialect"), [(CLAUDE, "claudia"), (GEMINI, "geminus")])
async def test_the_callers_fault_is_told_with_the_providers_reason_and_nothing_else_of_its_body(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str, dialect: str
) -> None:
    body = {
        "claudia": {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "max_tokens: too much"},
            "request_id": "req_internal",
        },
        "geminus": {
            "error": {
                "code": 400,
                "message": "max_tokens: too much",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "debug", "detail": "req_internal"}],
            }
        },
    }
    upstream.replies = {dialect: refusal(400, body[dialect])}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=model, messages=HELLO)
    assert "max_tokens: too much" in caught.value.message
    assert "req_internal" not in str(caught.value.body)


def held(name: str) -> tuple[Reply, list[bytes]]:
    """A stream of which nothing has come yet, and its events."""
    reply = Reply(body=b"", content_type="text/event-stream", is_held=True)
    return reply, [event + b"\n\n" for event in recorded(name).split(b"\n\n") if event]


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
async def test_each_event_goes_on_before_the_next_has_come(
    upstream: NativeUpstream, client: AsyncOpenAI, model: str
) -> None:
    reply, events = held(f"{RECORDINGS[model]}/answer.sse")
    upstream.replies = dict.fromkeys(KEYS, reply)
    words = iter(("The sky scatters", " blue.", " So it looks blue."))
    texts = [event for event in events if b'"text' in event and b'"text":""' not in event]
    assert len(texts) == 3
    async with asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(client.chat.completions.create(model=model, messages=HELLO, stream=True))
        for event in events:
            upstream.chunks.put_nowait(event)
            if event in texts:
                stream = await asking
                chunk = await anext(stream)
                assert chunk.choices[0].delta.content == next(words)
        upstream.chunks.put_nowait(None)
        rest = [chunk async for chunk in stream]
    assert rest[-1].choices[0].finish_reason == "stop"


async def test_when_the_caller_leaves_the_providers_work_is_ended(
    upstream: NativeUpstream, client: AsyncOpenAI
) -> None:
    reply, events = held("anthropic/answer.sse")
    upstream.replies = {"claudia": reply}
    for event in events[:4]:
        upstream.chunks.put_nowait(event)
    async with asyncio.timeout(PATIENCE):
        stream = await client.chat.completions.create(model=CLAUDE, messages=HELLO, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "The sky scatters"
        await stream.close()
        await upstream.is_left.wait()


async def test_who_leaves_in_the_middle_pays_for_the_prompt_as_it_was_counted_and_for_what_came(
    world: World, upstream: NativeUpstream, client: AsyncOpenAI
) -> None:
    reply, events = held("anthropic/answer.sse")
    upstream.replies = {"claudia": reply}
    for event in events[:5]:
        upstream.chunks.put_nowait(event)
    async with asyncio.timeout(PATIENCE):
        answered = await client.chat.completions.with_raw_response.create(model=CLAUDE, messages=HELLO, stream=True)
        stream = answered.parse()
        assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["The sky scatters", " blue."]
        await stream.close()
        found = await charged(world[0], client, answered.headers["x-generation-id"])
    assert Decimal(found["cost"]) == PROMPT * 20 + READ * 1000 + WRITTEN * 300 + ANSWER * 2
