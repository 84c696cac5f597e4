"""Vectors that are kept one by one: a request asks a provider for those that nobody knows, and for these once."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from msgspec import Struct
from openai import AsyncOpenAI
from redis.asyncio import Redis
from tests.support.fake_upstream import FakeUpstream, vector_of
from tests.support.gateway import RunningGateway, install, listing, parts_of, serving, settings_for
from tests.support.patience import PATIENCE
from tests.support.servers import fresh_database

from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.app import Parts
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.providers.listing import ListedModel

pytestmark = pytest.mark.alone

MODEL, OTHER = "vectors-1", "vectors-2"
PRICE = Decimal("0.001")
LISTS = (
    listing("acme", *(ListedModel(native_id=name, prices={"prompt": PRICE}) for name in ("vectors-1", "vectors-2"))),
    listing("beta", ListedModel(native_id="vectors-1", prices={"prompt": 2 * PRICE})),
)
ONLY_KEPT = {"Cache-Control": "only-if-cached"}


class World(Struct, frozen=True):
    """Two workers over one database and one Redis, and parts beside them."""

    workers: list[RunningGateway]
    upstream: FakeUpstream
    parts: Parts

    async def caller(self, account: str | None = None, *, at: int = 0) -> "Caller":
        """By default of an account of its own, so that nothing is kept for it."""
        made = await self.parts.keys.create(
            name="test",
            account=account or f"account-{secrets.token_hex(8)}",
            scopes=(INFERENCE, ACCOUNT),
            credits=nano_usd(Decimal(100)),
        )
        return Caller(self.workers[at], made.secret)

    async def of_one_account(self) -> "list[Caller]":
        """One at each worker."""
        account = f"account-{secrets.token_hex(8)}"
        return [await self.caller(account, at=at) for at in range(len(self.workers))]


@pytest.fixture(scope="module")
async def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeUpstream().running() as upstream, fresh_database(servers) as database_url:
        providers = {name: {"base_url": upstream.base_url(name), "api_key": f"sk-{name}"} for name in ("acme", "beta")}
        data_dir = tmp_path_factory.mktemp("vectors")
        settings = settings_for(
            servers, database_url, data_dir, providers=providers, responses={"enabled": True, "max_bytes": 1024}
        )
        await install(settings, LISTS)
        async with serving(settings) as one, serving(settings) as two, parts_of(settings) as parts:
            yield World([one, two], upstream, parts)


@pytest.fixture
def upstream(world: World) -> FakeUpstream:
    world.upstream.reset()
    world.upstream.behaviours = {"acme": "answers", "beta": "answers"}
    return world.upstream


class Said(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    form: dict[str, Any]

    @property
    def vectors(self) -> list[Any]:
        assert [each["index"] for each in self.form["data"]] == list(range(len(self.form["data"])))
        return [each["embedding"] for each in self.form["data"]]

    @property
    def cache(self) -> str:
        return self.headers["cache-status"].removeprefix("gatewayz; ")

    @property
    def used(self) -> int:
        return int(self.form["usage"]["prompt_tokens"])

    @property
    def cached(self) -> int:
        return int(self.form["gatewayz"]["cached_usage"]["prompt_tokens"])


class Caller(Struct, frozen=True):
    gateway: RunningGateway
    secret: str

    async def ask(self, given: object, headers: dict[str, str] | None = None, **fields: object) -> Said:
        body = {"model": MODEL, "input": given, **fields}
        async with (
            self.gateway.client(Authorization=f"Bearer {self.secret}") as client,
            client.post(self.gateway.at("/v1/embeddings"), json=body, headers=headers) as response,
        ):
            return await said(response)

    async def charged(self, said: Said) -> dict[str, Any]:
        """What a request cost, once it is settled."""
        path = f"/v1/generation/{said.headers['x-generation-id']}"
        async with asyncio.timeout(PATIENCE), self.gateway.client(Authorization=f"Bearer {self.secret}") as client:
            while True:
                async with client.get(self.gateway.at(path)) as response:
                    if response.status == 200:
                        return dict(await response.json())
                await asyncio.sleep(0.02)


async def said(response: aiohttp.ClientResponse) -> Said:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Said(response.status, headers, json.loads(await response.read()))


@pytest.fixture
async def caller(world: World, upstream: FakeUpstream) -> Caller:
    del upstream
    return await world.caller()


def asked_for(upstream: FakeUpstream) -> list[Any]:
    return [each.body["input"] for each in upstream.asked]


def vectors_of(texts: Sequence[object]) -> list[list[float]]:
    return [vector_of(text) for text in texts]


async def test_of_a_hundred_texts_of_which_ninety_are_known_ten_are_asked_for_in_one_call(
    upstream: FakeUpstream, caller: Caller
) -> None:
    texts = [f"text {number}" for number in range(100)]
    new = texts[5::10]
    await caller.ask([text for text in texts if text not in new])
    said = await caller.ask(texts)
    assert said.vectors == vectors_of(texts)
    assert asked_for(upstream)[1:] == [new]
    assert said.cache == 'fwd=partial; stored; detail="hit=90, asked=10"'
    assert said.headers["x-cache"] == "MISS"
    assert (said.used, said.cached) == (20, 180)
    assert Decimal((await caller.charged(said))["cost"]) == 20 * PRICE
    again = await caller.ask(texts[::-1])
    assert again.vectors == vectors_of(texts[::-1])
    assert again.cache.startswith("hit; ttl=86")
    assert len(upstream.asked) == 2


async def test_a_hit_costs_nothing_and_says_what_it_was_worth(upstream: FakeUpstream, caller: Caller) -> None:
    first, hit = await caller.ask("one"), await caller.ask(["one"])
    assert first.cache == "fwd=miss; stored; detail=absent"
    assert "gatewayz" not in first.form
    assert (hit.cache.partition(";")[0], hit.headers["age"], hit.headers["x-cache"]) == ("hit", "0", "HIT")
    assert hit.vectors == first.vectors
    assert (first.used, hit.used, hit.cached) == (2, 0, 2)
    assert (hit.form["model"], hit.form["object"]) == ("vectors-1", "list")
    assert hit.headers["x-gatewayz-provider"] == "acme"
    charged = await caller.charged(hit)
    assert (charged["charged"], charged["cache_status"]) == ("0", "hit")
    assert len(upstream.asked) == 1


async def test_what_stands_twice_in_a_request_is_asked_for_once(upstream: FakeUpstream, caller: Caller) -> None:
    said = await caller.ask(["b", "a", "b", "b", "a"])
    assert said.vectors == vectors_of(["b", "a", "b", "b", "a"])
    assert asked_for(upstream) == [["b", "a"]]
    assert said.used == 4
    hits = [await caller.ask(["a", "b", "a"]) for _ in range(2)]
    assert [hit.vectors for hit in hits] == [vectors_of(["a", "b", "a"])] * 2
    assert [hit.cached for hit in hits] == [4, 4]


async def test_the_order_in_which_a_provider_answers_does_not_matter(upstream: FakeUpstream, caller: Caller) -> None:
    upstream.behaviours["acme"] = "shuffled"
    texts = ["a", "b", "c", "d", "e"]
    assert (await caller.ask(texts)).vectors == vectors_of(texts)
    assert (await caller.ask(texts[::-1])).vectors == vectors_of(texts[::-1])
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("behaviour", ["short", "twice"])
async def test_an_answer_without_one_vector_for_each_text_is_an_error_of_which_nothing_is_kept_or_charged(
    upstream: FakeUpstream, caller: Caller, behaviour: str
) -> None:
    upstream.behaviours = {"acme": behaviour, "beta": behaviour}
    failed = await caller.ask(["a", "b"])
    assert (failed.status, failed.form["error"]["code"]) == (502, "provider_error")
    upstream.behaviours = {"acme": "answers", "beta": "answers"}
    assert (await caller.ask(["a"], ONLY_KEPT)).status == 504
    assert (await caller.ask(["b"], ONLY_KEPT)).status == 504
    async with (
        caller.gateway.client(Authorization=f"Bearer {caller.secret}") as client,
        client.get(caller.gateway.at("/v1/credits")) as response,
    ):
        has = await response.json()
    assert Decimal(has["available"]) + Decimal(has["held"]) == 100


async def test_where_one_provider_answers_wrong_the_next_is_asked(upstream: FakeUpstream, caller: Caller) -> None:
    upstream.behaviours["acme"] = "short"
    said = await caller.ask(["a", "b"])
    assert said.vectors == vectors_of(["a", "b"])
    assert said.headers["x-gatewayz-provider"] == "beta"


@pytest.mark.parametrize(
    "other",
    [
        {"model": OTHER},
        {"dimensions": 2},
        {"encoding_format": "base64"},
        {"input_type": "query"},
        {"cache": {"namespace": "other"}},
        {"provider": {"only": ["acme"]}},
    ],
)
async def test_what_may_change_a_vector_sets_it_apart(
    upstream: FakeUpstream, caller: Caller, other: dict[str, Any]
) -> None:
    await caller.ask(["a"])
    assert (await caller.ask(["a"], **other)).cache == "fwd=miss; stored; detail=absent"
    assert (await caller.ask(["a"], **other)).cache.startswith("hit")
    assert len(upstream.asked) == 2


@pytest.mark.parametrize(
    ("first", "same"),
    [("a", ["a"]), ([1, 2, 3], [[1, 2, 3]]), ("ä", ["\u00e4"])],
    ids=["text", "tokens", "escape"],
)
async def test_one_text_and_a_list_of_it_are_the_same(
    upstream: FakeUpstream, caller: Caller, first: object, same: object
) -> None:
    await caller.ask(first, encoding_format="float", user="one")
    assert (await caller.ask(same, user="another")).cache.startswith("hit")
    assert asked_for(upstream) == [first]


async def test_a_text_that_reads_like_tokens_is_another(upstream: FakeUpstream, caller: Caller) -> None:
    await caller.ask([[1, 2]])
    assert (await caller.ask(["[1,2]"])).cache.startswith("fwd=miss")
    assert (await caller.ask([[1, 2], [3]])).cache == 'fwd=partial; stored; detail="hit=1, asked=1"'
    assert asked_for(upstream)[-1] == [[3]]


async def test_no_tenant_reads_or_probes_what_another_has(
    world: World, upstream: FakeUpstream, caller: Caller
) -> None:  # fmt: skip
    await caller.ask(["a"])
    stranger = await world.caller()
    assert (await stranger.ask(["a"], ONLY_KEPT)).status == 504
    assert (await stranger.ask(["a"])).cache == "fwd=miss; stored; detail=absent"
    assert len(upstream.asked) == 2


async def test_the_keys_of_one_account_share(world: World, upstream: FakeUpstream) -> None:
    one, two = await world.of_one_account()
    await one.ask(["a"])
    assert (await two.ask(["a"])).cache.endswith("detail=L2")
    assert (await two.ask(["a"])).cache.endswith("detail=L1")
    assert len(upstream.asked) == 1


async def test_the_controls_of_the_request_are_obeyed_text_by_text(upstream: FakeUpstream, caller: Caller) -> None:
    refused = await caller.ask(["a", "b"], ONLY_KEPT)
    assert (refused.status, refused.form["error"]["code"]) == (504, "not_cached")
    assert not upstream.asked
    assert (await caller.ask(["a"], cache={"no-store": True})).cache == "fwd=miss; detail=no-store"
    assert (await caller.ask(["a"])).cache == "fwd=miss; stored; detail=absent"
    mixed = await caller.ask(["a", "b"], cache={"no-store": True})
    assert mixed.cache == 'fwd=partial; detail="hit=1, asked=1"'
    assert asked_for(upstream)[-1] == ["b"]
    anew = await caller.ask(["a"], {"Cache-Control": "no-cache"})
    assert anew.cache == "fwd=request; stored; detail=no-cache"
    assert (await caller.ask(["a"], {"Cache-Control": "max-age=0"})).cache == "fwd=stale; stored; detail=too-old"
    assert (await caller.ask(["a"], {"Cache-Control": "max-age=0, max-stale"})).cache.endswith("detail=stale")
    assert (await caller.ask(["a"], ONLY_KEPT)).cache.startswith("hit")
    assert all("cache" not in each.body for each in upstream.asked)
    assert len(upstream.asked) == 5


@pytest.mark.parametrize(
    "headers",
    [{"cf-aig-skip-cache": "true"}, {"X-OpenRouter-Cache": "false"}, {"Cache-Control": "no-cache, no-store"}],
)
async def test_the_words_of_other_gateways_turn_it_off(
    upstream: FakeUpstream, caller: Caller, headers: dict[str, str]
) -> None:
    await caller.ask(["a"])
    assert (await caller.ask(["a"], headers)).cache == "fwd=bypass; detail=no-store"
    assert len(upstream.asked) == 2


async def test_a_ttl_of_ones_own_is_told(caller: Caller) -> None:
    await caller.ask(["a"], cache={"ttl": 100})
    assert (await caller.ask(["a"])).cache.startswith(("hit; ttl=100;", "hit; ttl=9"))


async def test_a_vector_that_is_too_old_is_served_where_providers_fail_and_the_caller_allows_it(
    upstream: FakeUpstream, caller: Caller
) -> None:
    await caller.ask(["a"])
    upstream.behaviours = {"acme": "500", "beta": "500"}
    assert (await caller.ask(["a"], {"Cache-Control": "max-age=0"})).status == 502
    kept = await caller.ask(["a"], {"Cache-Control": "max-age=0, stale-if-error=60"})
    assert kept.cache.endswith("detail=stale-if-error")
    assert kept.vectors == vectors_of(["a"])
    assert (await caller.ask(["a", "b"], {"Cache-Control": "max-age=0, stale-if-error=60"})).status == 502


@pytest.mark.parametrize(
    ("given", "fields", "reason"),
    [
        (["a", "b"], {"late_chunking": True}, "read-together"),
        (["a", "b"], {"models": [OTHER]}, "fallbacks"),
        (["a", [1]], {}, "unreadable"),
    ],
)
async def test_what_cannot_be_asked_for_text_by_text_goes_as_it_came(
    upstream: FakeUpstream, caller: Caller, given: object, fields: dict[str, Any], reason: str
) -> None:
    for _ in range(2):
        assert (await caller.ask(given, **fields)).cache == f"fwd=bypass; detail={reason}"
    assert asked_for(upstream) == [given, given]


async def test_a_vector_larger_than_an_answer_may_be_is_given_and_not_kept(
    upstream: FakeUpstream, caller: Caller
) -> None:
    for _ in range(2):
        said = await caller.ask(["a", "large"])
        assert said.vectors == vectors_of(["a", "large"])
    assert said.cache == 'fwd=partial; detail="hit=1, asked=1"'
    assert asked_for(upstream) == [["a", "large"], ["large"]]


async def test_requests_at_one_time_over_two_workers_ask_for_each_text_once(
    world: World, upstream: FakeUpstream
) -> None:
    one, two = await world.of_one_account()
    upstream.behaviours["acme"] = "waits"
    first = asyncio.create_task(one.ask(["a", "b"]))
    await upstream.has_request.wait()
    upstream.has_request.clear()
    rest = [asyncio.create_task(each.ask(["b", "c"])) for each in (one, two) for _ in range(5)]
    await upstream.has_request.wait()
    upstream.may_go_on.set()
    said = [await first, *[await each for each in rest]]
    assert [each.vectors for each in said] == [vectors_of("ab"), *[vectors_of("bc")] * 10]
    assert asked_for(upstream) == [["a", "b"], ["c"]]
    assert sum(each.used for each in said) == 6
    assert 'fwd=miss; stored; collapsed; detail="collapsed=1, asked=1"' in [each.cache for each in said]


async def test_whoever_asked_first_may_leave_and_is_charged_and_the_others_are_answered(
    upstream: FakeUpstream, caller: Caller
) -> None:
    upstream.behaviours["acme"] = "waits"
    first = asyncio.create_task(caller.ask(["a"]))
    await upstream.has_request.wait()
    second = asyncio.create_task(caller.ask(["a"]))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait({first})
    upstream.may_go_on.set()
    assert (await second).vectors == vectors_of(["a"])
    assert len(upstream.asked) == 1


async def test_who_asks_for_what_cannot_be_had_fails_alone(world: World, upstream: FakeUpstream) -> None:
    one, two = await world.of_one_account()
    upstream.behaviours = {"acme": "waits", "beta": "waits"}
    first = asyncio.create_task(one.ask(["good", "bad"]))
    await upstream.has_request.wait()
    others = [asyncio.create_task(each.ask(["good"])) for each in (one, two)]
    await asyncio.sleep(0.1)
    upstream.behaviours = {"acme": "no-bad", "beta": "no-bad"}
    upstream.may_go_on.set()
    assert (await first).status == 400
    for each in others:
        assert (await each).vectors == vectors_of(["good"])


async def test_vectors_are_forgotten_with_what_names_them(world: World, upstream: FakeUpstream, caller: Caller) -> None:
    gateway, parts = world.workers[1], world.parts
    admin = await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))
    account = int((await parts.authentication.authenticate(caller.secret)).account_id)
    aims: list[dict[str, object]] = [{"account": account}, {"model": MODEL}, {"cache_type": "embed"}]
    for count, aim in enumerate(aims):
        await caller.ask(["a", "b"], cache={"tags": ["mine"]})
        assert len(upstream.asked) == count + 1
        async with (
            gateway.client(Authorization=f"Bearer {admin.secret}") as client,
            client.post(gateway.at("/api/system/cache/clear"), json=aim) as response,
        ):
            assert (response.status, (await response.json())["everywhere"]) == (200, True)


async def test_what_was_purged_while_it_came_is_given_and_not_kept(
    world: World, upstream: FakeUpstream, caller: Caller
) -> None:
    upstream.behaviours["acme"] = "waits"
    asking = asyncio.create_task(caller.ask(["a", "b"]))
    await upstream.has_request.wait()
    await world.parts.cache.invalidate_tag(f"model:{MODEL}")
    upstream.may_go_on.set()
    assert (await asking).vectors == vectors_of(["a", "b"])
    assert len(upstream.asked) == 1
    assert (await caller.ask(["a"], ONLY_KEPT)).status == 504


async def test_no_text_and_no_account_name_stands_in_redis_keys(world: World, caller: Caller) -> None:
    text = secrets.token_hex(8)
    await caller.ask([text])
    url = world.workers[0].settings.redis_url()
    assert url is not None
    async with Redis.from_url(url) as redis:
        keys = [str(key) for key in await redis.keys("*")]
    assert any(":embed:account-" in key for key in keys)
    assert not any(text in key for key in keys)


async def test_the_official_sdk_gets_what_is_partly_kept(upstream: FakeUpstream, caller: Caller) -> None:
    async with AsyncOpenAI(base_url=f"{caller.gateway.url}/v1", api_key=caller.secret, max_retries=0) as client:
        for texts, asked in ((["a", "b"], ["a", "b"]), (["c", "b", "a", "c"], ["c"])):
            for form in ("float", None):  # without a word it asks for base64
                options = {} if form is None else {"encoding_format": form}
                made = await client.embeddings.create(model=MODEL, input=texts, **options)  # type: ignore[arg-type]
                assert [each.embedding for each in made.data] == vectors_of(texts)
                assert [each.index for each in made.data] == list(range(len(texts)))
                assert upstream.asked[-1].body["input"] == asked
                assert made.usage.prompt_tokens == 2 * len(asked)
    assert [each.body.get("encoding_format") for each in upstream.asked] == ["float", "base64"] * 2


async def test_a_named_request_is_answered_the_same_again(upstream: FakeUpstream, caller: Caller) -> None:
    named = {"Idempotency-Key": secrets.token_hex(8)}
    one, two = [await caller.ask(["a"], named) for _ in range(2)]
    assert one.form == two.form
    assert two.headers["idempotency-replayed"] == "true"
    assert len(upstream.asked) == 1
