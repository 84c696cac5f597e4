"""What several workers saw of providers, put together over one Redis; and what one makes of it alone."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.patience import PATIENCE

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import Clock, SystemClock
from gatewayz.health import fleet, scripts
from gatewayz.health.config import HealthConfig
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.model import State

pytestmark = pytest.mark.alone

CONFIG = HealthConfig(half_life=120, known_for=300, evidence=3)
ACME, ROCKET = "acme", "acme/rocket"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


class Fleet:
    def __init__(self, redis: Redis, clock: Clock, stack: AsyncExitStack) -> None:
        self.redis = redis
        self._clock = clock
        self._stack = stack

    def worker(self) -> FleetHealth:
        asked = RedisScripts(self.redis, scripts.ALL, clock=self._clock, rng=random.Random(1))
        self._stack.push_async_callback(asked.close)
        return FleetHealth(asked, self._clock, CONFIG, prefix="f:")


@pytest.fixture
async def workers(server: OwnRedis, clock: FakeClock) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(server.url))
        await redis.flushall()
        yield Fleet(redis, clock, stack)


def requests_of(worker: FleetHealth, name: str) -> float:
    figures = worker.figures_of(name)
    return 0 if figures is None else figures.requests


async def exchanged(*workers: FleetHealth) -> None:
    for _ in range(2):  # each tells, then each has heard of all
        for each in workers:
            await each.exchange()


async def test_what_each_worker_saw_counts_together_and_once(workers: Fleet) -> None:
    one, two, three = workers.worker(), workers.worker(), workers.worker()
    for _ in range(3):
        for each in (one, two):
            each.answered(ACME, ROCKET, 0.4, is_stream=False)
        await one.exchange()  # and `two` has not heard of it when it tells
        await two.exchange()
    await exchanged(one, two, three)
    assert [requests_of(each, name) for each in (one, two, three) for name in (ACME, ROCKET)] == [6] * 6
    assert {each.state_of(ROCKET) for each in (one, two, three)} == {State.HEALTHY}
    assert one.is_shared


async def test_of_workers_that_tell_at_the_same_time_each_counts(workers: Fleet) -> None:
    many = [workers.worker() for _ in range(6)]
    for each in many:
        each.answered(ACME, ROCKET, 0.4, is_stream=False)
    await asyncio.gather(*(each.exchange() for each in many))  # all have heard before the first of them tells
    await exchanged(*many)
    assert [requests_of(each, ROCKET) for each in many] == [6] * 6


async def test_a_provider_that_fails_one_worker_is_down_for_all(workers: Fleet) -> None:
    one, two = workers.worker(), workers.worker()
    for _ in range(3):
        one.failed(ACME, ROCKET, had_begun=False, pause=0)
    await exchanged(one, two)
    assert two.state_of(ROCKET) is two.state_of(ACME) is State.DOWN
    assert two.state_of("acme/kite") is State.UNKNOWN


async def test_who_is_left_alone_by_one_worker_is_down_for_all_until_one_finds_it_recovered(
    workers: Fleet, clock: FakeClock
) -> None:
    one, two = workers.worker(), workers.worker()
    one.failed(ACME, ROCKET, had_begun=False, pause=60)
    await exchanged(one, two)
    assert (two.state_of(ROCKET), two.state_of(ACME)) == (State.DOWN, State.UNKNOWN)
    clock.advance(10)
    two.recovered(ROCKET)
    assert two.state_of(ROCKET) is State.UNKNOWN, "it goes by that before it has told anybody"
    await exchanged(two, one)
    assert one.state_of(ROCKET) is two.state_of(ROCKET) is State.HEALTHY


async def test_an_answer_that_breaks_off_is_one_failed_request(workers: Fleet) -> None:
    one = workers.worker()
    for _ in range(4):
        one.answered(ACME, ROCKET, 0.4, is_stream=True)
        one.failed(ACME, ROCKET, had_begun=True, pause=0)
    await one.exchange()
    assert requests_of(one, ROCKET) == 4
    assert one.state_of(ROCKET) is State.DOWN


async def test_a_worker_that_begins_later_knows_all_and_one_that_ended_takes_nothing_with_it(workers: Fleet) -> None:
    one = workers.worker()
    one.answered(ACME, ROCKET, 0.4, is_stream=False)
    await one.exchange()
    later = workers.worker()
    await later.catch_up()
    assert later.state_of(ROCKET) is State.HEALTHY


async def test_without_redis_a_worker_goes_by_what_it_sees_itself_and_says_so(clock: FakeClock) -> None:
    alone = FleetHealth(None, clock, CONFIG, prefix="f:")
    for _ in range(3):
        alone.failed(ACME, ROCKET, had_begun=False, pause=0)
    await alone.exchange()
    assert alone.state_of(ACME) is State.DOWN
    assert not alone.is_shared


async def test_while_redis_is_frozen_a_worker_goes_by_itself_and_afterwards_by_all() -> None:
    with own_redis() as server:
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(Redis.from_url(server.url))
            one, two = (Fleet(redis, SystemClock(), stack).worker() for _ in range(2))
            two.answered(ACME, ROCKET, 0.4, is_stream=False)
            await exchanged(one, two)
            server.freeze()
            one.answered(ACME, ROCKET, 0.4, is_stream=False)
            await one.exchange()
            assert not one.is_shared
            assert requests_of(one, ROCKET) == pytest.approx(2, abs=0.1)
            server.thaw()
            async with asyncio.timeout(PATIENCE):
                while not (one.is_shared and two.is_shared):  # who was too slow is tried again after a second
                    await asyncio.sleep(0.02)
                    await exchanged(one, two)
            one.answered(ACME, ROCKET, 0.4, is_stream=False)
            await exchanged(one, two)
            assert requests_of(one, ROCKET) == requests_of(two, ROCKET) > 0


async def test_what_redis_has_lost_is_begun_anew(workers: Fleet) -> None:
    one = workers.worker()
    one.answered(ACME, ROCKET, 0.4, is_stream=False)
    await one.exchange()
    await workers.redis.flushall()
    one.answered(ACME, ROCKET, 0.4, is_stream=False)
    await one.exchange()
    assert requests_of(one, ROCKET) == 1
    assert requests_of(one, ACME) == 1


async def test_rubbish_in_redis_is_written_over(workers: Fleet) -> None:
    one, two = workers.worker(), workers.worker()
    one.answered(ACME, ROCKET, 0.4, is_stream=False)
    await one.exchange()
    await workers.redis.hset("f:{figures}", ROCKET, "rubbish")
    two.answered(ACME, ROCKET, 0.4, is_stream=False)
    await two.exchange()
    assert two.state_of(ROCKET) is State.HEALTHY


async def test_no_more_names_are_kept_than_the_bound_and_the_newest_stay(
    workers: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "MOST", 10)
    one, two = workers.worker(), workers.worker()
    for number in range(9):
        one.answered(ACME, f"acme/{number}", 0.4, is_stream=False)
    await one.exchange()
    for number in range(9, 18):
        two.answered(ACME, f"acme/{number}", 0.4, is_stream=False)
    two.answered(ACME, "acme/beyond", 0.4, is_stream=False)
    await two.exchange()
    assert await workers.redis.hlen("f:{figures}") == await workers.redis.zcard("f:{figures}:versions") == 10
    assert len(list(two.names())) == 10
    assert two.state_of("acme/17") is State.HEALTHY
    assert two.state_of("acme/beyond") is State.UNKNOWN
    assert two.state_of(ACME) is State.HEALTHY
