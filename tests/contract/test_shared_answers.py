"""Requests that are the same and come at one time, to four workers: one call of a provider, a whole answer for each."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest
from redis.asyncio import Redis
from tests.support.cached_chats import Caller, Streaming, all_of
from tests.support.gateway import RunningGateway, install, listed, listing, parts_of, serving, settings_for
from tests.support.patience import PATIENCE
from tests.support.servers import migrated_database
from tests.support.telling_upstream import TellingUpstream

from gatewayz.accounts.scopes import INFERENCE
from gatewayz.core.money import NanoUsd, nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings

pytestmark = pytest.mark.alone

WORKERS = 4
LISTS = (listing("acme", listed("rocket-1", "0.001")),)
WHOLE = "Answer 1 of rocket"

Fleet = tuple[list[RunningGateway], TellingUpstream]


@pytest.fixture(scope="module")
async def fleet(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Workers on sockets of their own, over one database and one Redis."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(TellingUpstream().running())
        settings = settings_for(
            servers,
            await stack.enter_async_context(migrated_database(servers)),
            tmp_path_factory.mktemp("shared"),
            providers={"acme": {"base_url": upstream.url, "api_key": "sk-acme"}},
            responses={"enabled": True},
        )
        await install(settings, LISTS)
        workers = [await stack.enter_async_context(serving(settings)) for _ in range(WORKERS)]
        yield workers, upstream


@pytest.fixture
def upstream(fleet: Fleet) -> TellingUpstream:
    _, upstream = fleet
    upstream.reset()
    return upstream


@pytest.fixture
async def callers(fleet: Fleet, upstream: TellingUpstream) -> list[Caller]:
    """One account, at each worker."""
    del upstream
    return await callers_of(fleet[0], fleet[0][0].settings)


@pytest.fixture
def question() -> str:
    return secrets.token_hex(8)


async def callers_of(workers: list[RunningGateway], settings: Settings) -> list[Caller]:
    async with parts_of(settings) as parts:
        name = f"account-{secrets.token_hex(8)}"
        made = await parts.keys.create(
            name="test", account=name, scopes=(INFERENCE,), credits=nano_usd(Decimal(100_000))
        )
    return [Caller(worker, made.secret) for worker in workers]


@pytest.mark.parametrize("streams", ["none", "all", "half"])
async def test_two_hundred_requests_at_once_over_four_workers_cost_one_call(
    upstream: TellingUpstream, callers: list[Caller], question: str, streams: str
) -> None:
    upstream.gap = 0.05
    asking = [
        callers[n % WORKERS].ask(question, stream=streams == "all" or (streams == "half" and n % 8 < WORKERS))
        for n in range(200)
    ]
    said = await all_of(*asking)
    assert len(upstream.asked) == 1
    assert {each.status for each in said} == {200}
    assert {each.text for each in said} == {WHOLE}
    assert all(each.form["choices"][0]["finish_reason"] == "stop" for each in said)
    assert sum(each.cache.startswith("fwd=miss; ") and "collapsed" not in each.cache for each in said) == 1
    again = await all_of(*[caller.ask(question) for caller in callers])
    assert all(each.is_hit for each in again)
    assert len(upstream.asked) == 1


async def test_followers_on_other_workers_receive_what_there_is_and_then_live(
    upstream: TellingUpstream, callers: list[Caller], question: str
) -> None:
    upstream.behaviour = "waits"
    leader = Streaming(callers[0], question)
    await leader.until_received(b"Answer")
    followers = [Streaming(caller, question) for caller in callers]
    for each in followers:
        await each.until_received(b"Answer")
        assert b" of" not in each.received
    upstream.may_go.set()
    said = await asyncio.gather(leader.task, *[each.task for each in followers])
    assert {each.text for each in said} == {WHOLE}
    assert [each.cache for each in said[1:]] == ["fwd=miss; collapsed"] * WORKERS
    assert len(upstream.asked) == 1


async def test_the_leaders_client_may_leave_and_nobody_notices(
    upstream: TellingUpstream, callers: list[Caller], question: str
) -> None:
    upstream.behaviour = "waits"
    leader = Streaming(callers[0], question)
    await leader.until_received(b"Answer")
    followers = [Streaming(caller, question) for caller in callers[1:]]
    whole = [asyncio.create_task(caller.ask(question)) for caller in callers[1:]]
    for each in followers:
        await each.until_received(b"Answer")
    leader.task.cancel()
    await asyncio.wait({leader.task})
    await asyncio.sleep(0.2)  # the leader's worker has seen it go
    assert not upstream.left.is_set()
    upstream.may_go.set()
    said = await asyncio.gather(*[each.task for each in followers], *whole)
    assert {each.text for each in said} == {WHOLE}
    assert len(upstream.asked) == 1


async def test_the_provider_is_left_only_when_nobody_is_left(
    upstream: TellingUpstream, callers: list[Caller], question: str
) -> None:
    upstream.behaviour = "waits"
    everybody = [Streaming(callers[0], question)]
    await everybody[0].until_received(b"Answer")
    everybody += [Streaming(caller, question) for caller in callers]
    for each in everybody:
        await each.until_received(b"Answer")
    for each in everybody[:-1]:
        each.task.cancel()
        await asyncio.wait({each.task})
    await asyncio.sleep(0.2)
    assert not upstream.left.is_set()
    everybody[-1].task.cancel()
    async with asyncio.timeout(PATIENCE):
        await upstream.left.wait()
    upstream.reset()
    assert (await callers[1].ask(question)).text == WHOLE


async def test_who_needs_the_other_form_waits_for_the_whole(
    upstream: TellingUpstream, callers: list[Caller], question: str
) -> None:
    upstream.behaviour = "waits"
    whole = asyncio.create_task(callers[0].ask(question))
    async with asyncio.timeout(PATIENCE):
        await upstream.begun.wait()
    streams = [asyncio.create_task(caller.ask(question, stream=True)) for caller in callers]
    await asyncio.sleep(0.2)
    upstream.may_go.set()
    said = await all_of(whole, *streams)
    assert {each.text for each in said} == {WHOLE}
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("status", ["400", "500"])
async def test_what_the_provider_says_is_told_to_all_who_wait(
    upstream: TellingUpstream, callers: list[Caller], question: str, status: str
) -> None:
    upstream.behaviour = status
    said = await all_of(*[caller.ask(question) for caller in callers * 5])
    assert {each.status for each in said} == {400 if status == "400" else 502}
    assert "no" in said[0].form["error"]["message"]
    upstream.behaviour = "tells"
    assert (await callers[0].ask(question)).status == 200


async def test_a_refusal_of_the_leaders_own_is_not_told_to_the_others(
    fleet: Fleet, upstream: TellingUpstream, question: str
) -> None:
    """One key of the account is at its limit, the other is not."""
    name = f"account-{question}"
    async with parts_of(fleet[0][0].settings) as parts:
        poor = await parts.keys.create(name="poor", account=name, scopes=(INFERENCE,), budget=NanoUsd(1))
        rich = await parts.keys.create(name="rich", account=name, scopes=(INFERENCE,), credits=nano_usd(Decimal(1000)))
    asking = []
    for n in range(24):
        secret = poor.secret if n // WORKERS % 2 == 0 else rich.secret  # at each worker the poor one comes first
        asking.append(Caller(fleet[0][n % WORKERS], secret).ask(question))
    said = await all_of(*asking)
    rich_ones = [each for n, each in enumerate(said) if n // WORKERS % 2]
    assert all(each.status == 200 and each.text == WHOLE for each in rich_ones)
    assert len(upstream.asked) == 1


async def test_followers_are_not_charged(upstream: TellingUpstream, callers: list[Caller], question: str) -> None:
    upstream.behaviour = "waits"
    asking = [asyncio.create_task(caller.ask(question, stream=n % 2 == 0)) for n, caller in enumerate(callers * 3)]
    await asyncio.sleep(0.3)
    upstream.may_go.set()
    said = await all_of(*asking)
    ids = [each.headers["x-generation-id"] for each in said]
    async with parts_of(callers[0].gateway.settings) as parts:
        async with asyncio.timeout(PATIENCE):
            while True:
                rows = await parts.database.fetch(
                    "SELECT charged, cache_status FROM charges WHERE request_id = ANY($1)", ids
                )
                if len(rows) == len(ids):
                    break
                await asyncio.sleep(0.1)
    assert sorted(row["charged"] > 0 for row in rows) == [False] * (len(ids) - 1) + [True]
    assert {row["cache_status"] for row in rows if not row["charged"]} == {"collapsed"}


async def test_nothing_of_an_answer_stays_in_redis_but_its_entry(
    fleet: Fleet, upstream: TellingUpstream, callers: list[Caller], question: str
) -> None:
    await callers[0].ask(question, stream=True)
    assert len(upstream.asked) == 1
    url = fleet[0][0].settings.redis_url()
    assert url is not None
    async with Redis.from_url(url) as redis, asyncio.timeout(PATIENCE):
        while [key async for key in redis.scan_iter("gw:flight:*:log:*")]:  # noqa: ASYNC110  it happens in Redis
            await asyncio.sleep(0.05)
        for key in [key async for key in redis.scan_iter("gw:flight:*")]:
            assert await redis.ttl(key) >= 0
