"""Admission: the same rules over Redis, of each version, and by one worker alone."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis
from tests.support.admissions import LEASE, Admissions, alone, at_once, over_redis, per, wait_of
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.redis_programs import VERSIONS

from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.limits.local import RETIRED_FOR, LocalLimits
from gatewayz.limits.model import Admitted, PurseName, Refused, Unfunded

PURSE = PurseName(AccountId(1))
ONE, TWO = TrancheId(1), TrancheId(2)


@pytest.fixture(scope="module")
def redises() -> Iterator[Callable[[str], OwnRedis]]:
    """A Redis of each version, started when it is asked for first."""
    with ExitStack() as stack:
        yield functools.cache(lambda version: stack.enter_context(own_redis(version)))


@pytest.fixture(params=["alone", *VERSIONS])
async def admissions(request: pytest.FixtureRequest, redises: Callable[[str], OwnRedis]) -> AsyncIterator[Admissions]:
    if request.param == "alone":
        async with alone() as found:
            yield found
        return
    url = redises(request.param).url
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    async with over_redis(url) as found:
        yield found


def is_local(admissions: Admissions) -> bool:
    return admissions._redis is None


async def test_so_many_requests_fit_into_any_window_and_not_one_more(admissions: Admissions) -> None:
    limit = per(60, requests=5)
    for _ in range(5):
        assert isinstance(await admissions.ask(limit), Admitted)
        await admissions.turn(1)
    refused = await admissions.ask(limit)
    assert wait_of(refused) == pytest.approx(55, abs=0.02)
    await admissions.turn(wait_of(refused) - 0.02)
    assert isinstance(await admissions.ask(limit), Refused)
    await admissions.turn(0.03)
    assert isinstance(await admissions.ask(limit), Admitted)
    assert wait_of(await admissions.ask(limit)) == pytest.approx(1, abs=0.03)


async def test_what_is_refused_uses_up_nothing(admissions: Admissions) -> None:
    few, many = per(60, requests=1), per(3600, requests=10)
    await admissions.ask(few, many)
    for _ in range(20):
        assert isinstance(await admissions.ask(few, many), Refused)
    await admissions.turn(61)
    admitted = await admissions.ask(few, many)
    assert isinstance(admitted, Admitted)
    assert [each.remaining for each in admitted.standings] == [0, 8]


async def test_tokens_are_reserved_and_settled_in_the_slot_of_their_reservation(admissions: Admissions) -> None:
    limit = per(60, tokens=1000)
    first = await admissions.ask(limit, tokens=900)
    await admissions.turn(30)
    assert wait_of(await admissions.ask(limit, tokens=200)) == pytest.approx(30, abs=0.02)
    await admissions.settle(first, tokens=100)
    second = await admissions.ask(limit, tokens=900)
    assert isinstance(second, Admitted)
    assert isinstance(await admissions.ask(limit, tokens=1), Refused)
    await admissions.turn(30.02)
    assert isinstance(await admissions.ask(limit, tokens=100), Admitted), "the hundred of the first have left"
    assert isinstance(await admissions.ask(limit, tokens=1), Refused)
    await admissions.settle(second, tokens=950)
    await admissions.turn(30.02)
    assert isinstance(await admissions.ask(limit, tokens=900), Admitted)


async def test_what_has_left_the_window_before_it_is_settled_changes_nothing(admissions: Admissions) -> None:
    limit = per(60, tokens=1000)
    first = await admissions.ask(limit, tokens=900)
    await admissions.turn(61)
    second = await admissions.ask(limit, tokens=800)
    await admissions.settle(first, tokens=1)
    refused = await admissions.ask(limit, tokens=201)
    assert isinstance(refused, Refused)
    assert refused.standings[0].remaining == 200
    assert isinstance(second, Admitted)


async def test_a_request_that_can_never_fit_is_told_so(admissions: Admissions) -> None:
    refused = await admissions.ask(per(60, requests=10), per(60, tokens=1000), tokens=1001)
    assert isinstance(refused, Refused)
    assert refused.retry_after is None
    assert refused.limit.measure is Measure.TOKENS
    nothing = await admissions.ask(per(60, requests=0))
    assert isinstance(nothing, Refused)
    assert nothing.retry_after is None


async def test_the_limit_that_takes_longest_is_named(admissions: Admissions) -> None:
    minute, hour = per(60, requests=1), per(3600, requests=1, by=Subject.ACCOUNT)
    await admissions.ask(minute, hour)
    refused = await admissions.ask(minute, hour)
    assert isinstance(refused, Refused)
    assert refused.limit == hour
    assert wait_of(refused) == pytest.approx(3600, abs=1)


async def test_keys_are_counted_apart_and_their_account_together(admissions: Admissions) -> None:
    own, common = per(60, requests=2), per(60, requests=3, by=Subject.ACCOUNT)
    outcomes = [await admissions.ask(own, common, key=key) for key in ("key_1", "key_2", "key_1", "key_2")]
    assert [isinstance(each, Admitted) for each in outcomes] == [True, True, True, False]
    assert isinstance(await admissions.ask(own, common, account=2, key="key_3"), Admitted)


async def test_of_two_limits_of_the_same_the_lower_holds(admissions: Admissions) -> None:
    outcomes = [await admissions.ask(per(60, requests=9), per(60, requests=1)) for _ in range(2)]
    assert [isinstance(each, Admitted) for each in outcomes] == [True, False]


async def test_no_more_run_at_one_time_until_one_is_settled(admissions: Admissions) -> None:
    first = await admissions.ask(at_once(2))
    second = await admissions.ask(at_once(2))
    refused = await admissions.ask(at_once(2))
    assert isinstance(second, Admitted)
    assert isinstance(refused, Refused)
    assert 0 < wait_of(refused) <= 1
    await admissions.settle(first)
    assert isinstance(await admissions.ask(at_once(2)), Admitted)
    assert isinstance(await admissions.ask(at_once(2)), Refused)


async def test_what_nobody_renews_no_longer_runs_and_what_is_renewed_does(admissions: Admissions) -> None:
    await admissions.ask(at_once(1))
    await admissions.turn(LEASE - 1)
    await admissions.admission.renew()
    await admissions.turn(LEASE - 1)
    assert isinstance(await admissions.ask(at_once(1)), Refused)
    await admissions.turn(2)
    assert isinstance(await admissions.ask(at_once(1)), Admitted)


async def test_a_hold_comes_out_of_the_purse_and_what_it_did_not_cost_goes_back(admissions: Admissions) -> None:
    local = is_local(admissions)
    assert await admissions.ask(hold=10) == Unfunded(tranche=None, short_by=NanoUsd(10), is_local=local)
    assert await admissions.admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    first = await admissions.ask(hold=10)
    assert isinstance(first, Admitted)
    assert first.tranche == ONE
    assert isinstance(await admissions.ask(hold=10), Admitted)
    assert await admissions.ask(hold=10) == Unfunded(tranche=ONE, short_by=NanoUsd(5), is_local=local)
    await admissions.settle(first, cost=4)
    left = await admissions.admission.look(PURSE, ONE, is_local=local)
    assert left is not None
    assert left.left == 11


async def test_a_cost_above_the_hold_takes_nothing_more_out_of_the_purse(admissions: Admissions) -> None:
    local = is_local(admissions)
    await admissions.admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    await admissions.settle(await admissions.ask(hold=10), cost=1000)
    left = await admissions.admission.look(PURSE, ONE, is_local=local)
    assert left is not None
    assert left.left == 15


async def test_a_retired_purse_gives_and_takes_nothing_and_another_tranche_follows(admissions: Admissions) -> None:
    local = is_local(admissions)
    admission = admissions.admission
    await admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    held = await admissions.ask(hold=10)
    assert not await admission.deposit(PURSE, TWO, NanoUsd(5), is_local=local), "there is one already"
    assert await admission.retire(PURSE, TWO, is_local=local) is None
    assert await admission.retire(PURSE, ONE, is_local=local) == 15
    assert await admission.retire(PURSE, ONE, is_local=local) == 0
    assert isinstance(await admissions.ask(hold=1), Unfunded)
    assert not await admission.deposit(PURSE, ONE, NanoUsd(5), is_local=local), "what is retired stays so"
    assert await admission.deposit(PURSE, TWO, NanoUsd(5), is_local=local)
    await admissions.settle(held, cost=1)
    left = await admission.look(PURSE, TWO, is_local=local)
    assert left is not None
    assert left.left == 5
    assert await admission.look(PURSE, ONE, is_local=local) is None


async def test_a_limit_that_is_met_leaves_the_purse_alone_and_an_empty_purse_the_limit(admissions: Admissions) -> None:
    local = is_local(admissions)
    limit, at_one_time = per(60, requests=1), at_once(1)
    assert isinstance(await admissions.ask(limit, at_one_time, hold=10), Unfunded)
    await admissions.admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    assert isinstance(await admissions.ask(limit, at_one_time, hold=10), Admitted)
    assert isinstance(await admissions.ask(limit, at_one_time, hold=10), Refused)
    left = await admissions.admission.look(PURSE, ONE, is_local=local)
    assert left is not None
    assert left.left == 15


async def test_a_keys_purse_is_not_its_accounts(admissions: Admissions) -> None:
    local = is_local(admissions)
    own = PurseName(AccountId(1), ApiKeyId("key_1"))
    await admissions.admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    assert isinstance(await admissions.ask(hold=10, purse="key_1"), Unfunded)
    await admissions.admission.deposit(own, TWO, NanoUsd(10), is_local=local)
    admitted = await admissions.ask(hold=10, purse="key_1")
    assert isinstance(admitted, Admitted)
    assert admitted.tranche == TWO


async def test_a_purse_says_how_long_it_was_not_asked(admissions: Admissions) -> None:
    local = is_local(admissions)
    await admissions.admission.deposit(PURSE, ONE, NanoUsd(25), is_local=local)
    await admissions.turn(5)
    await admissions.ask(hold=1)
    await admissions.turn(7)
    state = await admissions.admission.look(PURSE, ONE, is_local=local)
    assert state is not None
    assert state.idle == pytest.approx(7, abs=0.01)


async def test_each_answer_tells_how_every_limit_stands(admissions: Admissions) -> None:
    limits = (per(60, requests=5), per(60, tokens=100), at_once(2))
    admitted = await admissions.ask(*limits, tokens=30)
    assert isinstance(admitted, Admitted)
    found = {each.limit.measure: each for each in admitted.standings}
    assert {measure: each.remaining for measure, each in found.items()} == {
        Measure.REQUESTS: 4,
        Measure.TOKENS: 70,
        Measure.CONCURRENT: 1,
    }
    for measure in (Measure.REQUESTS, Measure.TOKENS):
        assert found[measure].resets_in == pytest.approx(60, abs=0.02)


@pytest.mark.parametrize("window", [2, 60, 3600, 86_400])
async def test_many_slots_leave_at_once_as_one_by_one(admissions: Admissions, window: int) -> None:
    limit = Limit(Subject.KEY, Measure.REQUESTS, 400, window)
    for _ in range(300):
        assert isinstance(await admissions.ask(limit), Admitted)
        await admissions.turn(window / 1000)
    await admissions.turn(window * 0.8)
    admitted = await admissions.ask(limit)
    assert isinstance(admitted, Admitted)
    assert admitted.standings[0].remaining == pytest.approx(400 - 200 - 1, abs=1)
    await admissions.turn(window * 1.01)
    assert (await admissions.ask(limit)).standings[0].remaining == 399  # type: ignore[union-attr]


def test_purses_of_one_worker_are_forgotten_long_after_they_were_retired() -> None:
    clock = FakeClock()
    local = LocalLimits(clock, share=1, lease=LEASE)
    names = [PurseName(AccountId(number)) for number in range(1000)]
    for name in names:
        assert local.deposit(name, ONE, NanoUsd(5))
        assert local.retire(name, ONE) == 5
        assert not local.deposit(name, ONE, NanoUsd(5)), "one that comes late is refused"
    assert local.deposit(names[0], TWO, NanoUsd(7))
    clock.advance(RETIRED_FOR + 1)
    assert local.deposit(names[1], TWO, NanoUsd(1))
    assert local.retire(names[1], TWO) == 1
    assert local.look(names[0], TWO) is not None, "another tranche has its place"
    assert len(local._purses) == 2
