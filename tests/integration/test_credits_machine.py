"""Credits in random order against a model in which money is coins: each nano-dollar lies in exactly one place."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.support.credits_world import CreditsWorld, credits_world, order
from tests.support.servers import migrated_database

from gatewayz.core.errors import InsufficientQuota, InvalidRequest
from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.allowances import month_of
from gatewayz.credits.model import Charge, Owner
from gatewayz.embedded.servers import Servers

pytestmark = pytest.mark.slow

T = TypeVar("T")

SHARE, HOLDS, LASTS = 4, 3, 3600
_AT_FIRST = 60
AMOUNTS = st.integers(1, 40)
TIMES = st.sampled_from([60.0, 3600.0, 86_400.0, 5 * 86_400.0, 20 * 86_400.0])


@dataclass(eq=False)
class Given:
    """An allowance."""

    source: str
    starts: datetime | None
    ends: datetime
    granted: int = 0
    is_over: bool = False


Coin = Given | None
"""Where it came from: an allowance, or None for purchased."""


@dataclass
class Held:
    owner: Owner
    opened: datetime
    filled: int = 0
    coins: list[Coin] = field(default_factory=list)
    is_retired: bool = False
    is_closed: bool = False


@dataclass
class Purse:
    """An account in the model."""

    id: AccountId
    keys: list[tuple[ApiKeyId, int, str]]
    coins: list[Coin] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    plan: int = 0
    trial: tuple[int, datetime] | None = None
    tranches: dict[TrancheId, Held] = field(default_factory=dict)
    charges: dict[str, tuple[Charge, int, int]] = field(default_factory=dict)
    """By id: the charge, what of it was charged, what was refunded."""

    def in_order(self) -> list[Coin]:
        return sorted(self.coins, key=lambda coin: (1, 0.0) if coin is None else (0, coin.ends.timestamp()))

    def take(self, count: int) -> list[Coin]:
        taken, self.coins = self.in_order()[:count], self.in_order()[count:]
        return taken

    def touch(self, now: datetime) -> None:
        for each in self.given:
            if each.source == "trial" and not each.is_over:
                each.ends = min(now, each.ends) if self.trial is None else self.trial[1]
            if each.ends <= now:
                each.is_over = True
        self.coins = [coin for coin in self.coins if coin is None or not coin.is_over]
        promises: list[tuple[str, datetime | None, datetime, int]] = []
        if self.plan:
            promises.append(("plan", *month_of(now), self.plan))
        if self.trial is not None and self.trial[1] > now:
            promises.append(("trial", None, self.trial[1], self.trial[0]))
        for source, starts, ends, promised in promises:
            self._give(source, starts, ends, promised)

    def _give(self, source: str, starts: datetime | None, ends: datetime, promised: int) -> None:
        same = [each for each in self.given if (each.source, each.starts) == (source, starts)]
        given = same[0] if same else Given(source, starts, ends)
        if promised > given.granted:
            if not same:
                self.given.append(given)
            self.coins += [given] * (promised - given.granted)
            given.granted, given.ends, given.is_over = promised, ends, False

    def put_back(self, coins: list[Coin], now: datetime) -> None:
        self.coins += [coin for coin in coins if coin is None or (not coin.is_over and coin.ends > now)]

    def budget_left(self, key: ApiKeyId, now: datetime) -> int:
        _, budget, period = next(each for each in self.keys if each[0] == key)
        first = {"total": date.min, "day": now.date(), "month": now.date().replace(day=1)}[period]
        spent = sum(
            charged
            for charge, charged, _ in self.charges.values()
            if charge.key_id == key and datetime.fromtimestamp(charge.ended_at, UTC).date() >= first
        )
        held = sum(len(each.coins) for each in self.tranches.values() if each.owner.key_id == key)
        return budget - spent - held


class Credits(RuleBasedStateMachine):
    runner: asyncio.Runner
    world: CreditsWorld

    def __init__(self) -> None:
        super().__init__()
        self.accounts = [self.run(self._account(number)) for number in range(2)]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _account(self, number: int) -> Purse:
        account = await self.world.account(purchased=_AT_FIRST)
        periods = [("total", 25), ("month", 15)] if number else [("day", 10)]
        keys = [
            (await self.world.key(account, budget=budget, period=period), budget, period) for period, budget in periods
        ]
        return Purse(account, keys, [None] * _AT_FIRST)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.world.clock.now(), UTC)

    def pick(self, data: st.DataObject) -> Purse:
        return data.draw(st.sampled_from(self.accounts))

    def pick_tranche(self, data: st.DataObject) -> tuple[Purse, TrancheId, Held]:
        found = [(purse, tranche, held) for purse in self.accounts for tranche, held in purse.tranches.items()]
        return data.draw(st.sampled_from(found))

    @property
    def has_tranche(self) -> bool:
        return any(purse.tranches for purse in self.accounts)

    @property
    def has_charge(self) -> bool:
        return any(purse.charges for purse in self.accounts)

    @rule(data=st.data(), nano=AMOUNTS)
    def grant(self, data: st.DataObject, nano: int) -> None:
        purse = self.pick(data)
        reference = f"once {purse.id} {len(purse.coins)} {nano} {self.world.clock.now()} {len(purse.charges)}"
        first = self.run(self.world.grant(purse.id, nano, reference))
        again = self.run(self.world.grant(purse.id, nano, reference))
        assert (again.id, again.is_repeated) == (first.id, True)
        if not first.is_repeated:
            purse.coins += [None] * nano

    @rule(data=st.data(), nano=AMOUNTS)
    def take_away(self, data: st.DataObject, nano: int) -> None:
        purse = self.pick(data)
        name = self.run(self.world.name(purse.id))
        try:
            self.run(self.world.ledger.adjust(name, NanoUsd(-nano), order()))
        except InvalidRequest:
            assert purse.coins.count(None) < nano
        else:
            for _ in range(nano):
                purse.coins.remove(None)

    @rule(data=st.data(), nano=AMOUNTS)
    def put_on_plan(self, data: st.DataObject, nano: int) -> None:
        purse = self.pick(data)
        purse.plan = nano
        self.run(self.world.plan(purse.id, nano))

    @rule(data=st.data(), nano=AMOUNTS, seconds=TIMES)
    def give_trial(self, data: st.DataObject, nano: int, seconds: float) -> None:
        purse = self.pick(data)
        ends = self.world.clock.now() + seconds
        purse.trial = nano, datetime.fromtimestamp(ends, UTC)
        self.run(self.world.trial(purse.id, nano, ends))

    @rule(data=st.data())
    def end_trial(self, data: st.DataObject) -> None:
        purse = self.pick(data)
        purse.trial = None
        self.run(self.world.end_trial(purse.id))

    @rule(seconds=TIMES)
    def let_time_pass(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        purse = self.pick(data)
        self.run(self.world.tranches.touch(purse.id))
        purse.touch(self.now)

    @rule(data=st.data(), need=AMOUNTS, lacking=st.integers(0, 10))
    def fund(self, data: st.DataObject, need: int, lacking: int) -> None:
        purse = self.pick(data)
        key = data.draw(st.sampled_from([None, *(each[0] for each in purse.keys)]))
        known = data.draw(st.sampled_from([None, *purse.tranches]))
        owner = Owner(purse.id, key)
        before = purse.in_order(), [(each, each.granted, each.ends, each.is_over) for each in purse.given]
        purse.touch(self.now)
        within = len(purse.coins)
        if key is not None:
            within = min(within, purse.budget_left(key, self.now))
        try:
            hold = NanoUsd(need + lacking)
            funded = self.run(self.world.tranches.fund(owner, NanoUsd(need), known, hold=hold))
        except InsufficientQuota as error:
            refusal: InsufficientQuota | None = error
        else:
            refusal = None
        if refusal is not None:
            assert within < need
            assert (refusal.needed, refusal.available) == (need, max(within, 0))
            # What was due was granted in the transaction that was refused.
            purse.coins, purse.given = before[0], [each[0] for each in before[1]]
            for each, granted, ends, is_over in before[1]:
                each.granted, each.ends, each.is_over = granted, ends, is_over
            return
        assert within >= need
        held = purse.tranches.get(funded.tranche)
        assert funded.is_new == (held is None)
        pace = held.filled / max((self.now - held.opened).total_seconds(), 0.1) if held is not None else 0
        assert funded.amount == max(need, min(max(HOLDS * hold, int(pace * LASTS)), within // SHARE))
        if known is not None:
            there = purse.tranches[known]
            assert (funded.tranche == known) == (there.owner == owner and not there.is_retired)
        held = purse.tranches.setdefault(funded.tranche, Held(owner, self.now))
        held.filled += funded.amount
        held.coins += purse.take(funded.amount)

    @rule(data=st.data(), costs=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4))
    def settle(self, data: st.DataObject, costs: list[tuple[int, int]]) -> None:
        charges = []
        for cost, hold in costs:
            purse = self.pick(data)
            usable: list[TrancheId | None] = [tranche for tranche, held in purse.tranches.items() if held.coins]
            tranche = data.draw(st.sampled_from(usable or [None, *purse.tranches]))
            key = data.draw(st.sampled_from([each[0] for each in purse.keys]))
            charges.append(self.world.charge(purse.id, cost=cost, hold=hold, tranche=tranche, key=key))
        old = [charge for purse in self.accounts for charge, _, _ in purse.charges.values()]
        replayed = data.draw(st.lists(st.sampled_from(old), max_size=3)) if old else []
        done = self.run(self.world.settlement.settle([*replayed, *charges]))
        assert {each.request_id for each in done.charges} == {each.request_id for each in charges}
        written_off = 0
        for charge in sorted(charges, key=lambda each: each.request_id):
            purse = next(each for each in self.accounts if each.id == charge.account_id)
            held = purse.tranches[charge.tranche].coins if charge.tranche is not None else []
            paid = min(charge.cost, charge.hold, len(held))
            del held[:paid]
            charged = paid + len(purse.take(charge.cost - paid))
            written_off += charge.cost - charged
            purse.charges[charge.request_id] = charge, charged, 0
        assert done.written_off == written_off

    @precondition(lambda self: self.has_charge)
    @rule(data=st.data(), nano=AMOUNTS)
    def refund(self, data: st.DataObject, nano: int) -> None:
        purse = data.draw(st.sampled_from([each for each in self.accounts if each.charges]))
        request = data.draw(st.sampled_from(sorted(purse.charges)))
        charge, charged, refunded = purse.charges[request]
        try:
            self.run(self.world.ledger.refund(request, NanoUsd(nano), order()))
        except InvalidRequest:
            assert refunded + nano > charged
        else:
            assert refunded + nano <= charged
            purse.charges[request] = charge, charged, refunded + nano
            purse.coins += [None] * nano

    @precondition(lambda self: self.has_tranche)
    @rule(data=st.data(), nano=AMOUNTS, how=st.sampled_from(["release", "retire", "close"]))
    def give_back(self, data: st.DataObject, nano: int, how: str) -> None:
        purse, tranche, held = self.pick_tranche(data)
        if how == "close":
            released = self.run(self.world.tranches.close(tranche))
            assert released == len(held.coins)
        else:
            work = self.world.tranches.release if how == "release" else self.world.tranches.retire
            released = self.run(work(tranche, NanoUsd(nano)))
            assert released == min(nano, len(held.coins))
        held.is_retired |= how != "release"
        held.is_closed |= how == "close"
        kept = len(held.coins) - released
        held.coins, back = held.coins[:kept], held.coins[kept:]
        purse.put_back(back, self.now)

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        for purse in self.accounts:
            balance = self.run(self.world.balance(purse.id))
            assert balance.purchased == purse.coins.count(None)
            assert balance.allowance == len(purse.coins) - purse.coins.count(None)
            assert balance.held == sum(len(each.coins) for each in purse.tranches.values())

    def teardown(self) -> None:
        assert self.run(self.world.drifts()) == []


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_no_order_of_events_makes_or_loses_a_nano_dollar(servers: Servers, runner: asyncio.Runner) -> None:
    async def enter(stack: AsyncExitStack) -> CreditsWorld:
        url = await stack.enter_async_context(migrated_database(servers))
        return await stack.enter_async_context(
            credits_world(url, holds_per_tranche=HOLDS, tranche_share=SHARE, tranche_lasts=LASTS)
        )

    stack = AsyncExitStack()
    world = runner.run(enter(stack))
    try:
        machine = type("Machine", (Credits,), {"runner": runner, "world": world})
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            machine,
            settings=settings(max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=checks),
        )
    finally:
        runner.run(stack.aclose())
