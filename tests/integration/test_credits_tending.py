"""Purses filled, tranches retired and closed, allowances granted and ended, over a purse kept in a dictionary."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.credits_world import CreditsWorld, credits_world
from tests.support.dict_purses import DictPurses

from gatewayz.core.errors import InsufficientQuota
from gatewayz.core.ids import AccountId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.funding import Funding
from gatewayz.credits.model import Owner
from gatewayz.credits.tending import Tending, retire_all, retire_due

MONTH = 31 * 86_400.0


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[CreditsWorld]:
    async with credits_world(migrated_database_url) as world:
        yield world


def tending(world: CreditsWorld, purses: DictPurses) -> Tending:
    return Tending(world.tranches, purses, world.repository, world.reconciliation, world.config, world.clock)


async def held(world: CreditsWorld, account: AccountId) -> int:
    return (await world.balance(account)).held


async def test_all_who_find_a_purse_short_wait_for_one_transaction(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=1000), DictPurses()
    funding = Funding(world.tranches, purses)
    await asyncio.gather(*(funding.fill(Owner(account), NanoUsd(10)) for _ in range(50)))
    assert purses.deposits == 1
    assert await held(world, account) == 1000 // 16


async def test_a_caller_who_leaves_disturbs_nobody_and_a_refusal_is_for_who_asked(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=100), DictPurses()
    funding = Funding(world.tranches, purses)
    first = asyncio.ensure_future(funding.fill(Owner(account), NanoUsd(10)))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(funding.fill(Owner(account), NanoUsd(10)))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert purses.deposits == 1
    too_much = asyncio.ensure_future(funding.fill(Owner(account), NanoUsd(1000)))
    await asyncio.sleep(0)
    await funding.fill(Owner(account), NanoUsd(1))
    with pytest.raises(InsufficientQuota):
        await too_much


async def test_a_purse_that_another_worker_filled_first_makes_ours_superfluous(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=1000), DictPurses()
    await Funding(world.tranches, purses).fill(Owner(account), NanoUsd(10))
    before = await world.balance(account)
    await Funding(world.tranches, purses).fill(Owner(account), NanoUsd(10))
    assert await world.balance(account) == before
    assert await world.tranches.list_closable() == []


async def test_a_short_purse_is_filled_up_in_its_tranche(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=1000), DictPurses()
    owner, funding = Owner(account), Funding(world.tranches, purses)
    await funding.fill(owner, NanoUsd(10))
    tranche, left = purses.left[owner]
    await funding.fill(owner, NanoUsd(300), tranche)
    assert purses.left[owner] == (tranche, left + 300)


async def test_a_purse_that_lacks_a_little_is_filled_for_as_many_requests_as_an_empty_one(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=100_000), DictPurses()
    owner, funding = Owner(account), Funding(world.tranches, purses)
    await funding.fill(owner, NanoUsd(10), hold=NanoUsd(10))
    tranche, left = purses.left[owner]
    world.clock.advance(60)
    await funding.fill(owner, NanoUsd(1), tranche, hold=NanoUsd(10))
    assert (left, purses.left[owner]) == (160, (tranche, 320))


async def test_a_purse_that_is_emptied_fast_is_filled_for_some_seconds(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=100_000), DictPurses()
    owner, funding = Owner(account), Funding(world.tranches, purses)
    await funding.fill(owner, NanoUsd(10), hold=NanoUsd(10))
    tranche, _ = purses.left[owner]
    world.clock.advance(0.5)
    await funding.fill(owner, NanoUsd(10), tranche, hold=NanoUsd(10))
    assert purses.left[owner] == (tranche, 160 + 160 * 10)
    await funding.fill(owner, NanoUsd(10), tranche, hold=NanoUsd(10))
    assert purses.left[owner] == (tranche, 160 + 1600 + (100_000 - 1760) // 16)


async def test_a_purse_of_a_tranche_that_is_retired_gives_way(world: CreditsWorld) -> None:
    """As after a failover to an older state of Redis."""
    account, purses = await world.account(purchased=1000), DictPurses()
    owner, funding = Owner(account), Funding(world.tranches, purses)
    await funding.fill(owner, NanoUsd(10))
    tranche, left = purses.left[owner]
    await world.tranches.close(tranche)
    await funding.fill(owner, NanoUsd(left + 1), tranche)
    assert purses.left[owner][0] != tranche


async def test_a_tranche_is_retired_when_it_is_old_or_idle_and_closed_when_no_request_can_run(
    world: CreditsWorld,
) -> None:
    account, purses = await world.account(purchased=1600), DictPurses()
    owner, jobs = Owner(account), tending(world, purses)
    for seconds, idle in ((61.0, 61.0), (601.0, 0.0)):
        await Funding(world.tranches, purses).fill(owner, NanoUsd(10))
        tranche, left = purses.left[owner]
        purses.left[owner] = tranche, left - 10  # a hold that is never settled
        before = await held(world, account)
        await jobs.tend()
        assert await held(world, account) == before
        world.clock.advance(seconds)
        purses.idle = idle
        await jobs.tend()
        assert owner not in purses.left
        assert await held(world, account) == before - left + 10
    world.clock.advance(world.config.longest_request)
    await jobs.tend()
    assert await held(world, account) == 10  # the first was retired long enough ago
    world.clock.advance(world.config.close_margin)
    await jobs.tend()
    balance = await world.balance(account)
    assert (balance.purchased, balance.held) == (1600, 0)
    assert jobs.drift == 0


async def test_a_tranche_that_redis_forgot_is_locked_until_it_is_closed(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=160), DictPurses()
    jobs = tending(world, purses)
    await Funding(world.tranches, purses).fill(Owner(account), NanoUsd(100))
    purses.left.clear()
    with pytest.raises(InsufficientQuota) as refused:
        await world.tranches.fund(Owner(account), NanoUsd(100))
    assert (refused.value.needed, refused.value.available) == (100, 60)
    assert refused.value.retry_after == world.config.retire_idle + world.config.tend_every
    world.clock.advance(world.config.retire_after)
    await jobs.tend()
    with pytest.raises(InsufficientQuota) as refused:
        await world.tranches.fund(Owner(account), NanoUsd(100))
    close_after = world.config.longest_request + world.config.close_margin
    assert refused.value.retry_after == close_after + world.config.tend_every
    assert "more of it is free in about" in refused.value.message
    world.clock.advance(close_after)
    await jobs.tend()
    assert (await world.tranches.fund(Owner(account), NanoUsd(100))).amount == 100
    with pytest.raises(InsufficientQuota) as refused:
        await world.tranches.fund(Owner(account), NanoUsd(1000))
    assert refused.value.retry_after is None


async def test_with_redis_away_tranches_wait_and_the_rest_goes_on(world: CreditsWorld) -> None:
    account, purses = await world.account(purchased=160), DictPurses()
    jobs = tending(world, purses)
    await Funding(world.tranches, purses).fill(Owner(account), NanoUsd(100))
    await world.plan(account, 7)
    world.clock.advance(world.config.retire_after)
    purses.is_away = True
    await jobs.tend()
    assert (await world.balance(account)).allowance == 7
    assert await held(world, account) == 100
    purses.is_away = False
    await jobs.tend()
    assert await held(world, account) == 0


async def test_a_worker_retires_its_own_and_those_of_a_dead_one_are_retired_for_it(world: CreditsWorld) -> None:
    account, shared, local = await world.account(purchased=1600), DictPurses(), DictPurses()
    owner = Owner(account, place="worker 1")
    jobs, funding = tending(world, shared), Funding(world.tranches, local)
    await funding.fill(owner, NanoUsd(10))
    world.clock.advance(world.config.retire_after)
    await jobs.tend()
    assert len(await world.tranches.list_unretired(older_than=0)) == 1
    await retire_due(world.tranches, local, "worker 1", world.config)
    assert await held(world, account) == 0
    await funding.fill(owner, NanoUsd(10))
    await retire_all(world.tranches, local, "worker 1")
    assert await held(world, account) == 0
    await funding.fill(owner, NanoUsd(10))
    world.clock.advance(2 * world.config.retire_after)
    await jobs.tend()
    assert await world.tranches.list_unretired(older_than=0) == []
    assert await held(world, account) == 100


async def test_an_allowance_is_granted_each_month_and_spent_first(world: CreditsWorld) -> None:
    account, jobs = await world.account(purchased=100), tending(world, DictPurses())
    await world.plan(account, 50)
    await jobs.tend()
    assert (await world.balance(account)).allowance == 50
    await world.settlement.settle([world.charge(account, cost=30)])
    balance = await world.balance(account)
    assert (balance.allowance, balance.purchased) == (20, 100)
    world.clock.advance(MONTH)
    await jobs.tend()
    balance = await world.balance(account)
    assert (balance.allowance, balance.purchased) == (50, 100)
    assert await world.drifts() == []


async def test_a_plan_that_follows_gives_its_allowance_and_a_trial_ends(world: CreditsWorld) -> None:
    account, jobs = await world.account(), tending(world, DictPurses())
    await world.trial(account, 9, world.clock.now() + 100)
    await world.plan(account, 50)
    await world.database.fetch_value(
        "UPDATE accounts SET plan_ends_at = to_timestamp($2), next_plan_id = NULL WHERE id = $1",
        account,
        world.clock.now() + 200,
    )
    await jobs.tend()
    assert (await world.balance(account)).allowance == 59
    world.clock.advance(101)
    await jobs.tend()
    assert (await world.balance(account)).allowance == 50
    world.clock.advance(MONTH)
    await jobs.tend()
    assert (await world.balance(account)).allowance == 0


async def test_what_is_left_of_a_trial_goes_when_it_is_ended_by_hand(world: CreditsWorld) -> None:
    account, jobs = await world.account(), tending(world, DictPurses())
    await world.trial(account, 9, world.clock.now() + 1000)
    await jobs.tend()
    assert (await world.balance(account)).allowance == 9
    await world.end_trial(account)
    world.clock.advance(60)
    await jobs.tend()
    assert (await world.balance(account)).allowance == 0
    assert await world.drifts() == []


async def test_drift_is_reported_by_the_next_proof(world: CreditsWorld) -> None:
    account, jobs = await world.account(purchased=5), tending(world, DictPurses())
    await jobs.tend()
    assert jobs.drift == 0
    await world.database.fetch_value("UPDATE credit_balances SET purchased = 12 WHERE account_id = $1", account)
    await jobs.tend()
    assert jobs.drift == 0
    world.clock.advance(world.config.reconcile_every)
    await jobs.tend()
    assert jobs.drift == 7
