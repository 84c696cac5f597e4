"""Tokens counted for Anthropic's SDK: by the provider where it counts, else by an estimate that says so."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from tests.support.gateway import parts_of
from tests.support.native_upstream import Reply, refusal, whole
from tests.support.surfaces_world import CLAUDE, ECHO, ROCKET, SurfacesWorld

from gatewayz.accounts.scopes import INFERENCE

HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
AS_BLOCKS = [{"role": "user", "content": [{"type": "text", "text": "Why is the sky blue?"}]}]
TOOLS: list[Any] = [{"name": "get_time", "input_schema": {"type": "object", "properties": {}}}]
COUNTED = Reply(body=b'{"input_tokens": 2095}')
ESTIMATED = {"gatewayz": {"is_estimate": True}}


@pytest.fixture(scope="module")
async def penniless(running_surfaces: SurfacesWorld) -> str:
    """A key that cannot pay for anything, and may ask three times a minute."""
    async with parts_of(running_surfaces.gateway.settings) as parts:
        made = await parts.keys.create(
            name="key",
            account=secrets.token_hex(4),
            scopes=(INFERENCE,),
            limits={"requests_per_minute": 3},
        )
    return made.secret


@pytest.fixture
async def client(surfaces: SurfacesWorld, payer: str) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=surfaces.gateway.url, api_key=payer, max_retries=0) as client:
        yield client


async def test_a_provider_of_anthropics_form_counts_by_itself(
    surfaces: SurfacesWorld, client: AsyncAnthropic
) -> None:  # fmt: skip
    surfaces.native.replies = {"claudia": COUNTED}
    answered = await client.messages.with_raw_response.count_tokens(
        model=CLAUDE, system="Be brief.", messages=HELLO, tools=TOOLS, tool_choice={"type": "any"}
    )
    count = await answered.parse()
    assert (count.input_tokens, count.model_extra) == (2095, {})
    assert answered.headers["x-gatewayz-provider"] == "claudia"
    (asked,) = surfaces.native.asked
    assert asked.path == "/claudia/messages/count_tokens"
    assert asked.body == {
        "model": CLAUDE,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": AS_BLOCKS,
        "tools": TOOLS,
        "tool_choice": {"type": "any"},
    }


async def test_what_belongs_to_the_answer_is_not_asked_about(surfaces: SurfacesWorld, client: AsyncAnthropic) -> None:
    surfaces.native.replies = {"claudia": COUNTED}
    others = {"max_tokens": 9, "temperature": 0.5, "top_k": 3, "stop_sequences": ["x"], "stream": True}
    await client.messages.count_tokens(model=CLAUDE, messages=HELLO, extra_body=others)
    assert surfaces.native.asked[0].body == {"model": CLAUDE, "messages": AS_BLOCKS}


@pytest.mark.parametrize("model", [ROCKET, ECHO])
async def test_where_nobody_counts_it_is_an_estimate_that_says_so(
    surfaces: SurfacesWorld, client: AsyncAnthropic, model: str
) -> None:
    short = await client.messages.count_tokens(model=model, messages=HELLO)
    assert short.model_extra == ESTIMATED
    assert 5 < short.input_tokens < 60
    long = await client.messages.count_tokens(
        model=model, messages=[{"role": "user", "content": "Why is the sky blue? " * 100}]
    )
    assert 400 < long.input_tokens - short.input_tokens < 600
    assert not surfaces.telling.asked


@pytest.mark.parametrize(
    "reply",
    [
        refusal(429, {"error": {"type": "rate_limit_error", "message": "slow"}}, **{"Retry-After": "600"}),
        refusal(404, {"error": {"type": "not_found_error", "message": "no such route"}}),
        refusal(401, {"error": {"type": "authentication_error", "message": "no"}}),
        refusal(529, {"error": {"type": "overloaded_error", "message": "later"}}),
        Reply(body=b"[]"),
    ],
    ids=["throttled", "missing", "refused", "overloaded", "garbage"],
)
async def test_a_provider_that_does_not_count_now_is_stood_in_for_and_answers_chats_all_the_same(
    surfaces: SurfacesWorld, client: AsyncAnthropic, reply: Reply
) -> None:
    surfaces.native.replies = {"claudia": reply}
    assert (await client.messages.count_tokens(model=CLAUDE, messages=HELLO)).model_extra == ESTIMATED
    surfaces.native.replies = {"claudia": whole("anthropic/answer")}
    unheard: list[Any] = [{"role": "user", "content": secrets.token_hex(8)}]
    assert (await client.messages.create(model=CLAUDE, max_tokens=100, messages=unheard)).content


async def test_what_the_provider_blames_on_the_request_is_told_in_anthropics_form(
    surfaces: SurfacesWorld, client: AsyncAnthropic
) -> None:
    refused = {"error": {"type": "invalid_request_error", "message": "messages: roles must alternate"}}
    surfaces.native.replies = {"claudia": refusal(400, refused)}
    with pytest.raises(anthropic.BadRequestError, match="roles must alternate") as told:
        await client.messages.count_tokens(model=CLAUDE, messages=HELLO)
    assert told.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]


async def test_counting_costs_nothing_and_counts_against_the_limits_on_requests(
    surfaces: SurfacesWorld, penniless: str
) -> None:
    surfaces.native.replies = {"claudia": COUNTED}
    async with AsyncAnthropic(base_url=surfaces.gateway.url, api_key=penniless, max_retries=0) as client:
        for left in ("2", "1", "0"):
            answered = await client.messages.with_raw_response.count_tokens(model=CLAUDE, messages=HELLO)
            assert answered.headers["x-ratelimit-remaining-requests"] == left
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.count_tokens(model=CLAUDE, messages=HELLO)
    assert len(surfaces.native.asked) == 3


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"model": "no/such-model"}, anthropic.NotFoundError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError),
    ],
)
async def test_what_cannot_be_asked_cannot_be_counted(
    surfaces: SurfacesWorld, client: AsyncAnthropic, fields: dict[str, Any], refusal: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(refusal):
        await client.messages.count_tokens(**{"model": CLAUDE, "messages": HELLO, **fields})
    assert not surfaces.native.asked
