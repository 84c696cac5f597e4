"""Breakers of several workers over one Redis, and of one worker without it, by the same rules."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import own_redis
from tests.support.turned_scripts import TurnedScripts, turn_to

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.health import scripts
from gatewayz.health.breakers import Breakers, Pass
from gatewayz.health.config import HealthConfig

pytestmark = pytest.mark.alone

CONFIG = HealthConfig(failures=3, failures_within=60, first_pause=5, longest_pause=15, probe=30, quota_pause=900)
NAME = "acme/acme/rocket"


class Workers:
    """`all` go by one clock, which `turn` turns."""

    def __init__(self, workers: Sequence[Breakers], clock: FakeClock, redis: Redis | None) -> None:
        self.all = workers
        self.clock = clock
        self._redis = redis

    async def turn(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self._redis is not None:
            await turn_to(self._redis, self.clock.monotonic())

    async def fail(self, times: int, *, pause: float = 0.0) -> None:
        """One worker after the other."""
        for number in range(times):
            worker = self.all[number % len(self.all)]
            await worker.failed(Pass(NAME), pause=pause)

    async def enter(self) -> list[Pass]:
        """All workers at once, ten requests each; those that were let in."""
        entered = await asyncio.gather(*(worker.enter(NAME) for worker in self.all for _ in range(10)))
        return [each for each in entered if each is not None]

    def of(self, entered: Pass) -> Breakers:
        """The worker that probes."""
        return next(
            each for each in self.all if each._known.get(NAME) and each._known[NAME].probe == entered.probe
        )  # fmt: skip


@asynccontextmanager
async def over_redis(size: int) -> AsyncIterator[Workers]:
    clock = FakeClock()
    with own_redis() as server:
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(Redis.from_url(server.url))
            workers = []
            for _ in range(size):
                turned = TurnedScripts(redis, scripts.ALL)
                stack.push_async_callback(turned.close)
                workers.append(Breakers(turned, clock, CONFIG, prefix="b:"))
            found = Workers(workers, clock, redis)
            await found.turn(1.0)
            yield found


@pytest.fixture(params=["four workers", "alone"])
async def workers(request: pytest.FixtureRequest) -> AsyncIterator[Workers]:
    if request.param == "alone":
        clock = FakeClock()
        yield Workers([Breakers(None, clock, CONFIG, prefix="")], clock, None)
    else:
        async with over_redis(4) as found:
            yield found


async def test_failures_in_a_row_count_over_all_workers(workers: Workers) -> None:
    await workers.fail(2)
    assert len(await workers.enter()) == 10 * len(workers.all)
    await workers.all[-1].failed(Pass(NAME))
    assert await workers.all[-1].enter(NAME) is None
    assert workers.all[-1].pause_of(NAME) == pytest.approx(5, abs=0.01)


async def test_a_success_between_forgets_the_failures_before(workers: Workers) -> None:
    await workers.fail(2)
    await workers.all[0].succeeded(Pass(NAME))
    await workers.fail(2)
    assert len(await workers.enter()) == 10 * len(workers.all)


async def test_who_has_not_failed_lately_has_not_failed_in_a_row(workers: Workers) -> None:
    await workers.fail(2)
    await workers.turn(200)
    await workers.fail(1)
    assert await workers.all[0].enter(NAME) is not None


async def test_one_request_of_all_workers_tries_it_again(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    assert await workers.enter() == []
    await workers.turn(5.1)
    (probe,) = await workers.enter()
    await workers.turn(1)
    assert await workers.enter() == []
    await workers.of(probe).succeeded(probe)
    await workers.turn(1)
    assert len(await workers.enter()) == 10 * len(workers.all)


async def test_each_probe_that_fails_doubles_the_pause_up_to_the_longest(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    for pause in (5, 10, 15, 15):
        await workers.turn(pause - 0.5)
        assert await workers.enter() == []
        await workers.turn(1)
        (probe,) = await workers.enter()
        await workers.of(probe).failed(probe)


async def test_a_probe_that_came_to_nothing_leaves_the_next_one_to_try(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    await workers.turn(5.1)
    (probe,) = await workers.enter()
    workers.of(probe).abandoned(probe)
    await workers.turn(1)
    (again,) = await workers.enter()
    assert again.probe != probe.probe


async def test_a_probe_whose_worker_died_is_given_up(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    await workers.turn(5.1)
    assert len(await workers.enter()) == 1
    await workers.turn(29)
    assert await workers.enter() == []
    await workers.turn(2)
    assert len(await workers.enter()) == 1


async def test_what_began_before_it_was_opened_neither_closes_it_nor_opens_it_for_longer(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    for each in workers.all:
        await each.succeeded(Pass(NAME))
    assert await workers.enter() == []
    await workers.turn(4)
    await workers.fail(len(workers.all))
    await workers.turn(1.1)
    assert len(await workers.enter()) == 1


async def test_who_says_for_how_long_is_left_alone_for_so_long_at_once_and_for_900_seconds_at_most(
    workers: Workers,
) -> None:
    await workers.all[0].failed(Pass(NAME), pause=7)
    await workers.turn(6.5)
    assert await workers.all[0].enter(NAME) is None
    await workers.turn(1)
    (probe,) = [each for each in [await workers.all[0].enter(NAME)] if each is not None]
    await workers.all[0].failed(probe, pause=float("inf"))
    assert workers.all[0].pause_of(NAME) == pytest.approx(900, abs=0.01)


async def test_another_name_is_another_matter(workers: Workers) -> None:
    await workers.fail(3 * len(workers.all))
    assert await workers.all[0].enter("beta/acme/rocket") == Pass("beta/acme/rocket")


async def test_a_worker_that_redis_does_not_answer_goes_by_what_it_sees_itself() -> None:
    clock = FakeClock()
    with own_redis() as server:
        async with Redis.from_url(server.url) as redis:
            asked = RedisScripts(redis, scripts.ALL, clock=clock, rng=random.Random(1))
            worker = Breakers(asked, clock, CONFIG, prefix="b:")
            server.freeze()
            try:
                for _ in range(3):
                    await worker.failed(Pass(NAME))
                assert await worker.enter(NAME) is None
                clock.advance(5.1)
                probe = await worker.enter(NAME)
                assert probe is not None
                assert await worker.enter(NAME) is None
                await worker.succeeded(probe)
                assert await worker.enter(NAME) is not None
            finally:
                server.thaw()
                await asked.close()
