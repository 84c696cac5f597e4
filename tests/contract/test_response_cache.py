"""Answers that are kept: found again by who means the same, by nobody else, and free of charge."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis
from tests.support.cached_chats import MODEL, Caller, all_of, request
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway
from tests.support.patience import PATIENCE
from tests.support.telling_upstream import USAGE, TellingUpstream

from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.app import Parts
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

pytestmark = pytest.mark.alone

LISTS = (listing("acme", listed("rocket-1", "0.001"), listed("rocket-2", "0.001")),)
COST = Decimal("0.011")  # 3 tokens of the prompt at 0.001, 4 of the answer at 0.002

Both = tuple[RunningGateway, TellingUpstream]


@pytest.fixture(scope="module")
async def both(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    async with TellingUpstream().running() as upstream:
        providers = {"acme": {"base_url": upstream.url, "api_key": "sk-acme"}}
        data_dir = tmp_path_factory.mktemp("cached")
        async with running_gateway(
            servers, data_dir, LISTS, providers=providers, responses={"enabled": True}
        ) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(both: Both) -> TellingUpstream:
    _, upstream = both
    upstream.reset()
    return upstream


@pytest.fixture
async def caller(both: Both) -> Caller:
    """Of an account of its own, with credits."""
    return await a_caller(both[0])


@pytest.fixture
def question() -> str:
    """One that nobody has asked."""
    return secrets.token_hex(8)


async def a_caller(gateway: RunningGateway, account: str | None = None) -> Caller:
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="test",
            account=account or f"account-{secrets.token_hex(8)}",
            scopes=(INFERENCE, ACCOUNT),
            credits=nano_usd(Decimal(1000)),
        )
    return Caller(gateway, made.secret)


async def test_the_same_request_costs_one_call(upstream: TellingUpstream, caller: Caller, question: str) -> None:
    first, second, third = [await caller.ask(question) for _ in range(3)]
    assert first.cache == "fwd=miss; stored; detail=absent"
    assert not first.is_hit
    assert second.is_hit
    assert second.cache.startswith(("hit; ttl=3600; detail=L", "hit; ttl=3599; detail=L"))
    assert third.cache.endswith("detail=L1")
    assert second.headers["age"] == "0"
    assert first.text == second.text == third.text == "Answer 1 of rocket"
    assert len(upstream.asked) == 1


async def test_a_hit_is_a_new_answer_that_used_nothing_and_says_what_the_first_used(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    first, second = await caller.ask(question), await caller.ask(question)
    assert len(upstream.asked) == 1
    assert second.form["id"] != first.form["id"]
    assert second.form["created"] > first.form["created"]
    assert second.headers["x-generation-id"] != first.headers["x-generation-id"]
    assert second.headers["x-gatewayz-provider"] == "acme"
    assert second.form["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert second.form["gatewayz"]["cached_usage"] == USAGE
    changed = ("id", "created", "usage", "gatewayz")
    assert {name: value for name, value in second.form.items() if name not in changed} == {
        name: value for name, value in first.form.items() if name not in changed
    }


@pytest.mark.parametrize("first_streams", [False, True])
async def test_one_entry_serves_streams_and_whole_answers(
    upstream: TellingUpstream, caller: Caller, question: str, *, first_streams: bool
) -> None:
    first = await caller.ask(question, stream=first_streams)
    for stream in (not first_streams, first_streams):
        again = await caller.ask(question, stream=stream)
        assert again.is_hit
        assert again.text == first.text
        assert again.form["choices"][0]["finish_reason"] == "stop"
        assert again.form["system_fingerprint"] == "fp_1"
    assert len(upstream.asked) == 1


async def test_however_the_json_is_written_it_is_the_same_request(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    await caller.ask(question, temperature=0, seed=1, tools=None)
    spelled = (
        f'{{ "user":"u", "seed":1.0, "stream":false,"temperature":0e0,"top_p":1,'
        f'"messages":[{{"content":"{question}","role":"\\u0075ser"}}], "model":"{MODEL}","metadata":{{"a":"b"}} }}'
    )
    assert (await caller.send(spelled, {"x-stainless-lang": "python", "User-Agent": "other"})).is_hit
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"model": "acme/rocket-2"},
        {"temperature": 0.5},
        {"seed": 7},
        {"stop": "x"},
        {"n": 1, "max_tokens": 3},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"cache": {"namespace": "other"}},
    ],
)
async def test_what_may_change_the_answer_makes_another_call(
    upstream: TellingUpstream, caller: Caller, question: str, other: dict[str, Any]
) -> None:
    await caller.ask(question)
    assert not (await caller.ask(question, **other)).is_hit
    assert len(upstream.asked) == 2


async def test_accounts_never_share_and_keys_of_one_account_do(
    both: Both, upstream: TellingUpstream, question: str
) -> None:
    name = f"account-{question}"
    one, same, other = await a_caller(both[0], name), await a_caller(both[0], name), await a_caller(both[0])
    await one.ask(question)
    assert (await same.ask(question)).is_hit
    theirs = await other.ask(question)
    assert theirs.cache == "fwd=miss; stored; detail=absent"
    assert theirs.text == "Answer 2 of rocket"
    assert (await other.ask(question, {"Cache-Control": "only-if-cached"})).text == "Answer 2 of rocket"
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hit_is_not_charged_and_stands_in_the_usage(
    upstream: TellingUpstream, caller: Caller, question: str, *, stream: bool
) -> None:
    both = [await caller.ask(question, stream=stream) for _ in range(2)]
    assert len(upstream.asked) == 1
    first, hit = [await generation(caller, said.headers["x-generation-id"]) for said in both]
    assert (first["cache_status"], Decimal(first["charged"])) == ("", COST)
    assert (hit["cache_status"], Decimal(hit["charged"])) == ("hit", Decimal(0))


async def generation(caller: Caller, id_: str) -> dict[str, Any]:
    """What a request cost, once it is settled."""
    async with asyncio.timeout(PATIENCE), caller.gateway.client(Authorization=f"Bearer {caller.secret}") as client:
        while True:
            async with client.get(caller.gateway.at(f"/v1/generation/{id_}")) as response:
                if response.status == 200:
                    return dict(await response.json())
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "reason"), [("filters", "content-filter"), ("half-calls", "tool-arguments"), ("empty", "empty")]
)
async def test_an_answer_that_is_not_fit_is_given_once_and_never_kept(
    upstream: TellingUpstream, caller: Caller, question: str, behaviour: str, reason: str, *, stream: bool
) -> None:
    upstream.behaviour = behaviour
    first = await caller.ask(question, stream=stream)
    assert first.status == 200
    if not stream:
        assert first.cache == f"fwd=miss; detail={reason}"
    upstream.behaviour = "tells"
    assert not (await caller.ask(question, stream=stream)).is_hit
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("behaviour", ["stops", "errs"])
async def test_a_stream_that_did_not_end_well_is_never_kept(
    both: Both, upstream: TellingUpstream, caller: Caller, question: str, behaviour: str
) -> None:
    upstream.behaviour = behaviour
    async with (
        both[0].client(Authorization=f"Bearer {caller.secret}") as client,
        client.post(both[0].at("/v1/chat/completions"), json=request(question, stream=True)) as response,
    ):
        assert b"rocket" in await response.read()
    upstream.behaviour = "tells"
    assert not (await caller.ask(question, stream=True)).is_hit
    assert (await caller.ask(question)).text == "Answer 2 of rocket"


@pytest.mark.parametrize("status", ["400", "429", "500"])
async def test_errors_are_never_kept(upstream: TellingUpstream, caller: Caller, question: str, status: str) -> None:
    upstream.behaviour = status
    refused = await caller.ask(question)
    assert refused.status in {400, 502}
    upstream.behaviour = "tells"
    assert (await caller.ask(question)).text == "Answer 2 of rocket"


async def test_the_answer_of_a_fallback_is_not_kept_as_that_of_the_model_in_its_place(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    upstream.failing = frozenset({"rocket-1"})
    instead = await caller.ask(question, models=["acme/rocket-2"])
    assert instead.cache == "fwd=miss; detail=other-model"
    upstream.failing = frozenset()
    assert not (await caller.ask(question, models=["acme/rocket-2"])).is_hit
    assert [body["model"] for body in upstream.asked] == ["rocket-1", "rocket-2", "rocket-1"]


async def test_without_redis_a_worker_shares_and_keeps_by_itself(
    servers: Servers, tmp_path: Path, upstream: TellingUpstream, question: str
) -> None:
    providers = {"acme": {"base_url": upstream.url, "api_key": "sk-acme"}}
    alone = {"providers": providers, "responses": {"enabled": True}, "cache": {"redis_url": None}}
    async with running_gateway(servers, tmp_path, LISTS, **alone) as gateway:  # type: ignore[arg-type]
        caller = await a_caller(gateway)
        upstream.gap = 0.05
        said = await all_of(*[caller.ask(question, stream=n % 2 == 0) for n in range(20)])
        assert {each.text for each in said} == {"Answer 1 of rocket"}
        assert (await caller.ask(question)).cache.endswith("detail=L1")
    assert len(upstream.asked) == 1


@pytest.mark.usefixtures("upstream")
async def test_a_conversation_of_sixty_messages_with_tools_is_kept(caller: Caller, question: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    messages = [{"role": "user", "content": question}, *(turns * 30)]
    for is_hit in (False, True):
        assert (await caller.ask(question, messages=messages)).is_hit is is_hit
    messages[-1] = {"role": "tool", "tool_call_id": "c", "content": "43"}
    assert not (await caller.ask(question, messages=messages)).is_hit


async def test_the_controls_of_the_request_are_obeyed(upstream: TellingUpstream, caller: Caller, question: str) -> None:
    assert (await caller.ask(question, {"Cache-Control": "only-if-cached"})).status == 504
    assert (await caller.ask(question, cache={"no-store": True})).cache == "fwd=miss; detail=no-store"
    assert (await caller.ask(question)).text == "Answer 2 of rocket"
    fresh = await caller.ask(question, {"Cache-Control": "no-cache"})
    assert fresh.cache == "fwd=request; stored; detail=no-cache"
    assert (await caller.ask(question)).text == fresh.text == "Answer 3 of rocket"
    assert (await caller.ask(question, {"Cache-Control": "max-age=0"})).cache.startswith("fwd=stale; stored; ")
    off = await caller.ask(question, {"X-OpenRouter-Cache": "false"})
    assert off.cache == "fwd=bypass; detail=no-store"
    assert (await caller.ask(question, temperature=1.5)).cache == "fwd=bypass; detail=temperature"
    assert all("cache" not in body for body in upstream.asked)


async def test_a_value_that_is_none_is_refused_by_name(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    refused = await caller.ask(question, cache={"ttl": -1})
    assert refused.status == 400
    assert refused.form["error"]["param"] == "cache.ttl"
    assert not upstream.asked


async def test_a_ttl_of_ones_own_ends_when_it_says(upstream: TellingUpstream, caller: Caller, question: str) -> None:
    await caller.ask(question, cache={"ttl": 100})
    assert (await caller.ask(question)).cache.startswith("hit; ttl=99;") or len(upstream.asked) == 1
    stale = await caller.ask(question, {"Cache-Control": "max-age=0, max-stale=50"})
    assert stale.cache.endswith("detail=stale")
    assert stale.is_hit


async def test_an_answer_that_is_too_old_is_served_where_providers_fail_and_the_caller_allows_it(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    await caller.ask(question)
    upstream.behaviour = "500"
    assert (await caller.ask(question, {"Cache-Control": "max-age=0"})).status == 502
    for stream in (False, True):
        kept = await caller.ask(question, {"Cache-Control": "max-age=0, stale-if-error=60"}, stream=stream)
        assert kept.is_hit
        assert kept.cache.endswith("detail=stale-if-error")
        assert kept.text == "Answer 1 of rocket"


async def test_the_official_sdk_gets_hits_streamed_and_whole(
    upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    said = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    async with AsyncOpenAI(base_url=f"{caller.gateway.url}/v1", api_key=caller.secret, max_retries=0) as client:
        for _ in range(2):
            whole = await client.chat.completions.create(**said)  # type: ignore[call-overload]
            assert whole.choices[0].message.content == "Answer 1 of rocket"
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(  # type: ignore[call-overload]
                **said, stream=True, stream_options={"include_usage": True}
            )
        ]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Answer 1 of rocket"
    assert chunks[-1].usage.total_tokens == 0
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(upstream.asked) == 1


async def test_no_prompt_and_no_account_name_stands_in_a_key_of_redis(
    both: Both, upstream: TellingUpstream, caller: Caller, question: str
) -> None:
    await caller.ask(question)
    assert len(upstream.asked) == 1
    url = both[0].settings.redis_url()
    assert url is not None
    async with Redis.from_url(url) as redis:
        keys = [str(key) for key in await redis.keys("*")]
    assert any(":chat:account-" in key for key in keys)
    assert not any(question in key or json.dumps(question) in key for key in keys)


@pytest.mark.parametrize("by", ["account", "model", "tag", "key", "cache_type", "older_than"])
async def test_answers_are_forgotten_by_whatever_names_them(
    both: Both, upstream: TellingUpstream, caller: Caller, question: str, by: str
) -> None:
    async with parts_of(both[0].settings) as parts:
        admin = await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))
        account = await account_of(parts, caller)
    for _ in range(2):
        await caller.ask(question, cache={"tags": ["mine"]})
    url = both[0].settings.redis_url()
    assert url is not None
    async with Redis.from_url(url) as redis:
        (key,) = [
            key.decode().partition(":chat:")[2]  # type: ignore[union-attr]
            for key in await redis.keys(f"*:chat:account-{account}:*")
        ]
    aims: dict[str, dict[str, object]] = {
        "account": {"account": account},
        "model": {"model": MODEL},
        "tag": {"tag": f"custom:{account}:mine"},
        "key": {"cache_type": "chat", "key": key},
        "cache_type": {"cache_type": "chat"},
        "older_than": {"cache_type": "chat", "older_than": time.time() + 1},
    }
    async with (
        both[0].client(Authorization=f"Bearer {admin.secret}") as client,
        client.post(both[0].at("/api/system/cache/clear"), json=aims[by]) as response,
    ):
        cleared = await response.json()
        assert response.status == 200, cleared
    assert cleared["everywhere"]
    assert cleared["cleared"] in (["chat"], [f"account:{account}"], [f"model:{MODEL}"], [f"custom:{account}:mine"])
    assert not (await caller.ask(question)).is_hit
    assert (await caller.ask(question)).is_hit
    assert len(upstream.asked) == 2


async def account_of(parts: Parts, caller: Caller) -> int:
    return int((await parts.authentication.authenticate(caller.secret)).account_id)


@pytest.mark.parametrize(
    ("aim", "param"),
    [
        ({}, "cache_type"),
        ({"tag": "account:1", "model": "m"}, "model"),
        ({"key": "k"}, "key"),
        ({"account": 1, "older_than": 5.0}, "older_than"),
        ({"cache_type": "chats"}, "cache_type"),
        ({"accounts": 1}, "accounts"),
    ],
)
async def test_what_names_nothing_or_two_things_clears_nothing(both: Both, aim: dict[str, object], param: str) -> None:
    async with parts_of(both[0].settings) as parts:
        admin = await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))
    async with (
        both[0].client(Authorization=f"Bearer {admin.secret}") as client,
        client.post(both[0].at("/api/system/cache/clear"), json=aim) as response,
    ):
        assert response.status in {400, 404, 422}
        assert (await response.json())["error"]["param"] == param


async def test_only_the_admin_key_clears(both: Both, caller: Caller) -> None:
    async with (
        both[0].client(Authorization=f"Bearer {caller.secret}") as client,
        client.post(both[0].at("/api/system/cache/clear"), json={"cache_type": "chat"}) as response,
    ):
        assert response.status == 403
