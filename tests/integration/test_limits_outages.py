"""Admission while Redis is frozen, emptied, or a cluster."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from tests.support.admissions import LEASE, per
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.patience import PATIENCE
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_programs import VERSIONS, redis_program

from gatewayz.cache.connection import connect
from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import SystemClock
from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.limits import scripts
from gatewayz.limits.admission import Admission
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, Refused
from gatewayz.limits.shared import SharedLimits

pytestmark = pytest.mark.alone

HOUR = per(3600, requests=10, by=Subject.ACCOUNT)
PURSE = PurseName(AccountId(1))


def admission(over: RedisScripts, *, within: float, share: int = 2) -> Admission:
    local = LocalLimits(SystemClock(), share=share, lease=LEASE)
    return Admission(SharedLimits(over, prefix="l:", lease=LEASE, within=within), local)


async def ask(admission: Admission, *limits: Limit, hold: int = 0) -> Outcome:
    request = f"gen_{random.random()}"
    return await admission.admit(
        Ask(
            request=request,
            account_id=AccountId(1),
            key_id=ApiKeyId("key_1"),
            limits=limits,
            hold=NanoUsd(hold),
        )
    )


async def until_together(admission: Admission, *limits: Limit) -> Outcome:
    """What is said once Redis is asked again."""
    async with asyncio.timeout(PATIENCE):
        while (found := await ask(admission, *limits)).is_local:  # noqa: ASYNC110  the probe goes by its own time
            await asyncio.sleep(0.001)
    return found


@pytest.fixture
async def frozen() -> AsyncIterator[tuple[OwnRedis, RedisScripts]]:
    with own_redis() as redis:
        async with connect(redis.url) as client:
            running = RedisScripts(client, scripts.ALL, clock=SystemClock(), rng=random.Random(1))
            yield redis, running
            await running.close()


async def test_while_redis_is_frozen_a_worker_counts_alone_against_its_share_and_says_so(
    frozen: tuple[OwnRedis, RedisScripts],
) -> None:
    redis, running = frozen
    patient, brief = admission(running, within=PATIENCE), admission(running, within=0.035)
    assert isinstance(await ask(patient, HOUR), Admitted)
    redis.freeze()
    try:
        outcomes = [await ask(brief, HOUR) for _ in range(6)]
    finally:
        redis.thaw()
    assert [isinstance(each, Admitted) for each in outcomes] == [True] * 5 + [False]
    assert all(not isinstance(each, Admitted | Refused) or each.is_local for each in outcomes)
    assert brief.counts["local"] == 6
    assert isinstance(await until_together(patient, HOUR), Admitted)


async def test_purses_of_the_time_without_redis_are_this_workers_own(frozen: tuple[OwnRedis, RedisScripts]) -> None:
    redis, running = frozen
    brief = admission(running, within=0.035)
    redis.freeze()
    try:
        assert await brief.deposit(PURSE, TrancheId(7), NanoUsd(10), is_local=True)
        admitted = await ask(brief, hold=10)
    finally:
        redis.thaw()
    assert isinstance(admitted, Admitted)
    assert admitted.tranche == 7
    brief.settle(admitted, tokens=0, cost=NanoUsd(4))
    state = await brief.look(PURSE, TrancheId(7), is_local=True)
    assert state is not None
    assert state.left == 6


async def test_an_emptied_redis_counts_anew_and_has_no_purses(frozen: tuple[OwnRedis, RedisScripts]) -> None:
    redis, running = frozen
    patient = admission(running, within=PATIENCE)
    await patient.deposit(PURSE, TrancheId(7), NanoUsd(10), is_local=False)
    held = await ask(patient, HOUR, hold=10)
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
    assert isinstance(held, Admitted)
    patient.settle(held, tokens=5, cost=NanoUsd(1))
    assert await patient.look(PURSE, TrancheId(7), is_local=False) is None
    again = await ask(patient, HOUR)
    assert isinstance(again, Admitted)
    assert again.standings[0].remaining == 9


async def test_in_a_cluster_all_of_an_account_is_on_one_server() -> None:
    async with redis_cluster(redis_program(VERSIONS[1])) as cluster:
        running = RedisScripts(cluster.reach(), scripts.ALL, clock=SystemClock(), rng=random.Random(1))
        patient = admission(running, within=PATIENCE)
        limits = (
            per(60, requests=2),
            per(60, tokens=100),
            HOUR,
            Limit(Subject.ACCOUNT, Measure.CONCURRENT, 9),
        )
        await patient.deposit(PURSE, TrancheId(7), NanoUsd(100), is_local=False)
        outcomes = [await ask(patient, *limits, hold=10) for _ in range(3)]
        assert [isinstance(each, Admitted) for each in outcomes] == [True, True, False]
        assert not any(each.is_local for each in outcomes)
        await patient.renew()
        await running.close()
