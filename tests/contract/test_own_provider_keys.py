"""Accounts that bring keys of their own: each is asked for with its own key, and none disturbs another."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest
from tests.support.administered import Answer
from tests.support.cached_chats import Said, request
from tests.support.cached_chats import read as read_said
from tests.support.fake_upstream import FakeUpstream
from tests.support.fleet import psql, until_applied
from tests.support.gateway import RunningGateway, install, listed, listing, parts_of, serving, settings_for
from tests.support.patience import PATIENCE
from tests.support.servers import migrated_database

from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE, PROVIDER_KEYS
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

MODEL, ELSEWHERE, PRIVATE = "rocket-1", "kite-1", "moon-1"
LISTS = (
    listing("acme", listed(MODEL, "0.001"), listed(ELSEWHERE, "0.001")),
    listing("beta", listed(MODEL, "0.002")),
    listing("gamma", listed(PRIVATE)),
)
SHARED = {"acme": "sk-shared-acme-0123456789", "beta": "sk-shared-beta-0123456789"}
_NUMBERS = itertools.count(1)


class World:
    """Two workers over one upstream. `gamma` is asked with accounts' own keys only."""

    def __init__(self, workers: Sequence[RunningGateway], upstream: FakeUpstream, admin: str) -> None:
        self.workers = workers
        self.upstream = upstream
        self.admin = admin

    async def account(self, dollars: str = "1", *scopes: str) -> "Customer":
        name = f"customer {next(_NUMBERS)}"
        async with parts_of(self.workers[0].settings) as parts:
            made = await parts.keys.create(
                name="key",
                account=name,
                credits=nano_usd(Decimal(dollars)),
                scopes=scopes or (INFERENCE, ACCOUNT, PROVIDER_KEYS),
            )
        return Customer(self, name, made.record.account_id, made.secret)

    def shown(self) -> list[str]:
        """The keys that the provider was shown, in order."""
        return [each.headers["Authorization"].removeprefix("Bearer ") for each in self.upstream.asked]


class Customer:
    def __init__(self, world: World, name: str, account_id: int, secret: str) -> None:
        self._world = world
        self.name = name
        self.account_id = account_id
        self._secret = secret

    async def ask(
        self, method: str, path: str, body: object = None, *, worker: int = 0, key: str | None = None
    ) -> Answer:
        gateway = self._world.workers[worker]
        async with (
            gateway.client(Authorization=f"Bearer {key or self._secret}") as client,
            client.request(method, gateway.at(path), json=body) as answer,
        ):
            said = await answer.read()
            return Answer(answer.status, json.loads(said) if said else None)

    async def brings(self, secret: str, provider: str = "acme", *, worker: int = 0) -> None:
        answer = await self.ask("PUT", f"/v1/provider-keys/{provider}", {"key": secret}, worker=worker)
        assert answer.status == 200, answer.body
        assert answer.body["last_four"] == secret[-4:]

    async def chat(self, question: str | None = None, *, worker: int = 0, **fields: object) -> Said:
        """A question of its own each time, unless it is given."""
        gateway = self._world.workers[worker]
        body = request(question or f"question {next(_NUMBERS)}", **{"model": MODEL, "max_tokens": 5, **fields})
        async with (
            gateway.client(Authorization=f"Bearer {self._secret}") as client,
            client.post(gateway.at("/v1/chat/completions"), json=body) as response,
        ):
            return await read_said(response)

    async def charged(self, said: Said) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self.ask("GET", f"/v1/generation/{said.headers['x-generation-id']}")
                if answer.status == 200:
                    form: dict[str, Any] = answer.body
                    return form
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def both(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream().running())
        providers: dict[str, Any] = {
            name: {"base_url": upstream.base_url(name), "api_key": key} for name, key in SHARED.items()
        }
        providers["gamma"] = {"base_url": upstream.base_url("gamma"), "own_keys_only": True}
        settings = settings_for(
            servers,
            await stack.enter_async_context(migrated_database(servers)),
            tmp_path_factory.mktemp("own-keys"),
            providers=providers,
            health={"failures": 5, "quota_pause": 900},
            responses={"enabled": True},
        )
        await install(settings, LISTS)
        async with parts_of(settings) as parts:
            admin = (await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))).secret
        workers = [await stack.enter_async_context(serving(settings)) for _ in range(2)]
        yield World(workers, upstream, admin)


@pytest.fixture
def world(both: World) -> World:
    both.upstream.reset()
    both.upstream.behaviours = dict.fromkeys(("acme", "beta", "gamma"), "answers")
    return both


async def test_each_account_is_asked_for_with_its_own_key_and_pays_nothing_here(world: World) -> None:
    one, two, neither = [await world.account() for _ in range(3)]
    await one.brings("sk-of-one-0123456789")
    await two.brings("sk-of-two-0123456789")
    answers = [await each.chat("the same of all") for each in (one, two, neither, one, two)]
    assert [said.is_hit for said in answers] == [False] * 3 + [True] * 2, "kept for each account by itself"
    answers += [await each.chat("as a stream", stream=True) for each in (one, two, neither)]
    assert [said.text for said in answers] == ["Hello"] * 8
    assert world.shown() == ["sk-of-one-0123456789", "sk-of-two-0123456789", SHARED["acme"]] * 2
    charges = [await each.charged(await each.chat()) for each in (one, two, neither)]
    assert [Decimal(each["cost"]) for each in charges] == [0, 0, Decimal("0.003")]
    assert [each["is_own_key"] for each in charges] == [True, True, False]
    assert {(each["prompt_tokens"], each["completion_tokens"]) for each in charges} == {(1, 1)}
    balance = (await one.ask("GET", "/v1/credits")).body
    assert Decimal(balance["available"]) + Decimal(balance["held"]) == 1


async def test_who_has_no_credits_is_served_by_a_key_of_his_own_and_by_nobody_else(world: World) -> None:
    poor = await world.account("0")
    assert (await poor.chat()).status == 429
    await poor.brings("sk-of-the-poor-0123456789")
    assert (await poor.chat()).status == 200
    world.upstream.behaviours["acme"] = "500"
    assert (await poor.chat()).status == 502
    assert set(world.shown()) == {"sk-of-the-poor-0123456789"}


async def test_the_hold_is_for_the_dearest_who_may_stand_in_for_an_own_key(world: World) -> None:
    poor, rich = await world.account("0.05"), await world.account("10")
    world.upstream.by_key = dict.fromkeys(("sk-of-poor-0123456789", "sk-of-rich-0123456789"), "500")
    for each, secret in ((poor, "sk-of-poor-0123456789"), (rich, "sk-of-rich-0123456789")):
        await each.brings(secret)
    assert (await poor.chat()).status == 502, "what beta may cost is more than there is"
    said = await rich.chat()
    assert (said.status, said.headers["x-gatewayz-provider"]) == (200, "beta")
    charged = await rich.charged(said)
    assert (Decimal(charged["cost"]), charged["is_own_key"]) == (Decimal("0.006"), False)
    assert world.shown() == ["sk-of-poor-0123456789", "sk-of-rich-0123456789", SHARED["beta"]]


@pytest.mark.parametrize("fault", ["401", "402", "no-quota", "quotes-key"])
async def test_a_key_that_is_refused_is_told_its_owner_and_nobody_else_notices(world: World, fault: str) -> None:
    bad, good, neither = [await world.account() for _ in range(3)]
    await bad.brings("sk-that-has-ended-0123456789")
    await good.brings("sk-that-is-good-0123456789")
    world.upstream.by_key["sk-that-has-ended-0123456789"] = fault
    for worker in (0, 0, 1):
        said = await bad.chat(worker=worker)
        assert (said.status, said.form["error"]["code"]) == (403, "provider_key_refused")
        assert "'6789'" in said.form["error"]["message"]
        assert "PUT /v1/provider-keys/acme" in said.form["error"]["message"]
        assert b"sk-that-has" not in said.raw
    assert len(world.shown()) <= 2, "each worker sees it once at most; nobody pays with credits instead"
    for worker in (0, 1):
        for each in (good, neither):
            said = await each.chat(worker=worker)
            assert (said.status, said.headers["x-gatewayz-provider"]) == (200, "acme")
    await bad.brings("sk-that-is-new-0123456789", worker=1)
    for worker in (0, 1):
        assert (await bad.chat(worker=worker)).status == 200
    assert world.shown()[-2:] == ["sk-that-is-new-0123456789"] * 2


async def test_failures_of_an_own_key_open_no_breaker_of_others_nor_theirs_of_it(world: World) -> None:
    one, other = await world.account(), await world.account()
    await one.brings("sk-that-fails-0123456789")
    world.upstream.by_key = {"sk-that-fails-0123456789": "500"}
    for _ in range(8):
        assert (await one.chat()).headers["x-gatewayz-provider"] == "beta"
    assert world.shown().count("sk-that-fails-0123456789") == 5
    assert (await other.chat()).headers["x-gatewayz-provider"] == "acme"
    world.upstream.by_key = {SHARED["acme"]: "429"}
    assert (await other.chat()).headers["x-gatewayz-provider"] == "beta"
    await one.brings("sk-that-works-0123456789")
    assert (await one.chat()).headers["x-gatewayz-provider"] == "acme"
    async with world.workers[0].client() as client, client.get(world.workers[0].at("/metrics")) as answer:
        metrics = (await answer.read()).decode()
    assert 'gatewayz_own_key_attempts_total{outcome="failed",provider="acme"}' in metrics
    assert 'gatewayz_attempts_total{outcome="failed",provider="acme"} 1.0' in metrics
    assert "pk_" not in metrics


async def test_a_key_that_may_not_use_one_model_is_asked_for_others(world: World) -> None:
    one = await world.account()
    await one.brings("sk-of-few-models-0123456789")
    world.upstream.by_key["sk-of-few-models-0123456789"] = "403"
    assert (await one.chat()).status == 403
    world.upstream.by_key.clear()
    assert (await one.chat(model=ELSEWHERE)).status == 200


async def test_a_provider_without_a_key_of_ours_is_there_for_who_brings_one(world: World) -> None:
    one, other = await world.account("0"), await world.account()
    await one.brings("sk-of-one-0123456789", "gamma")
    said = await one.chat(model=PRIVATE)
    assert (said.status, said.headers["x-gatewayz-provider"]) == (200, "gamma")
    said = await other.chat(model=PRIVATE)
    assert (said.status, said.form["error"]["code"]) == (503, "provider_not_configured")
    assert world.shown() == ["sk-of-one-0123456789"]


async def test_a_key_that_is_set_changed_or_removed_is_so_in_every_worker_when_it_answers(world: World) -> None:
    one = await world.account()
    expected = []
    for number in range(8):
        there, here = number % 2, 1 - number % 2
        for secret in (f"sk-number-{number}-0123456789", f"sk-changed-{number}-0123456789"):
            await one.brings(secret, worker=there)
            assert (await one.chat(worker=here)).status == 200
            expected.append(secret)
        assert (await one.ask("DELETE", "/v1/provider-keys/acme", worker=there)).status == 204
        assert (await one.chat(worker=here)).status == 200
        expected.append(SHARED["acme"])
    assert world.shown() == expected
    assert (await one.ask("DELETE", "/v1/provider-keys/acme")).status == 404


async def test_what_is_done_to_the_table_by_hand_counts_and_a_box_that_was_moved_does_not_open(world: World) -> None:
    one, other = await world.account(), await world.account()
    await one.brings("sk-of-one-0123456789")
    await other.brings("sk-of-other-0123456789")
    for worker in (0, 1):
        assert (await one.chat(worker=worker)).status == 200
    async with psql(world.workers[0].settings) as connection:
        await connection.execute(
            "UPDATE provider_keys k SET sealed = o.sealed FROM provider_keys o WHERE k.account_id = $1 "
            "AND o.account_id = $2",
            one.account_id,
            other.account_id,
        )
        await until_applied(connection)
        for worker in (0, 1):
            said = await one.chat(worker=worker)
            assert (said.status, said.form["error"]["code"]) == (403, "provider_key_refused")
            assert "cannot be opened" in said.form["error"]["message"]
        await connection.execute("DELETE FROM provider_keys WHERE account_id = $1", one.account_id)
        await until_applied(connection)
    for worker in (0, 1):
        assert (await one.chat(worker=worker)).status == 200
    assert world.shown() == ["sk-of-one-0123456789"] * 2 + [SHARED["acme"]] * 2


async def test_to_change_keys_needs_its_scope_and_nobody_reaches_anothers(world: World) -> None:
    one, other = await world.account(), await world.account()
    plain = await world.account("1", INFERENCE, ACCOUNT)
    await one.brings("sk-of-one-0123456789")
    for method, body in (("PUT", {"key": "sk-of-plain-0123456789"}), ("DELETE", None)):
        refused = await plain.ask(method, "/v1/provider-keys/acme", body)
        assert refused.error[:2] == (403, "insufficient_permissions")
    assert (await plain.ask("GET", "/v1/provider-keys")).body["data"] == []
    assert (await other.ask("GET", "/v1/provider-keys/acme")).status == 404
    assert (await other.ask("DELETE", "/v1/provider-keys/acme")).status == 404
    shown = (await one.ask("GET", "/v1/provider-keys/acme")).body
    assert shown == (await one.ask("GET", "/v1/provider-keys")).body["data"][0]
    assert (shown["provider"], shown["last_four"], shown["account_id"]) == ("acme", "6789", one.account_id)


@pytest.mark.parametrize(
    ("provider", "key", "param"),
    [
        ("acme", "short", "key"),
        ("acme", "sk-with a space-0123456789", "key"),
        ("acme", "sk-with-\u00e4-0123456789", "key"),
        ("acme", "s" * 4097, "key"),
        ("acmee", "sk-good-0123456789", "provider"),
        ("no-such", "sk-good-0123456789", "provider"),
    ],
)
async def test_what_is_no_key_or_no_provider_is_refused_and_not_repeated(
    world: World, provider: str, key: str, param: str
) -> None:
    one = await world.account()
    refused = await one.ask("PUT", f"/v1/provider-keys/{provider}", {"key": key})
    assert refused.error == (400, "invalid_request", param)
    assert key not in str(refused.body)


async def test_the_administrator_sets_and_removes_them_and_the_log_says_who_did_without_the_key(world: World) -> None:
    one = await world.account()
    path = f"/admin/accounts/{one.account_id}/provider-keys"
    made = await one.ask("PUT", f"{path}/acme", {"key": "sk-by-admin-0123456789", "reason": "asked"}, key=world.admin)
    assert made.status == 200
    assert (await one.chat()).status == 200
    assert world.shown() == ["sk-by-admin-0123456789"]
    assert (await one.ask("GET", path, key=world.admin)).body["data"] == [made.body]
    assert (await one.ask("GET", f"{path}/acme", key=world.admin)).body == made.body
    assert (await one.ask("DELETE", f"{path}/acme?reason=done", key=world.admin)).status == 204
    assert (await one.ask("GET", f"{path}/acme", key=world.admin)).status == 404
    assert (await one.ask("GET", path)).status == 403
    assert (await one.ask("GET", "/admin/accounts/999999999/provider-keys", key=world.admin)).status == 404
    log = (await one.ask("GET", f"/admin/audit?target={one.account_id}", key=world.admin)).body["data"]
    assert [row["action"] for row in log[:2]] == ["provider_key.remove", "provider_key.set"]
    assert [row["reason"] for row in log[:2]] == ["done", "asked"]
    assert log[1]["after"]["last_four"] == "6789"
    assert "sk-by-admin" not in str(log)
