"""Where money comes from and goes back to, as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.capture import Draw, Pockets, capture, release
from gatewayz.credits.model import Charge

AMOUNTS = st.integers(0, 50)
ACCOUNT = AccountId(1)


def charges(costs: list[tuple[int, int, int | None]]) -> list[Charge]:
    return [
        Charge(
            request_id=str(number),
            account_id=ACCOUNT,
            key_id=ApiKeyId("k"),
            model="m",
            provider="p",
            ended_at=0,
            cost=NanoUsd(cost),
            hold=NanoUsd(hold),
            tranche=None if tranche is None else TrancheId(tranche),
        )
        for number, (cost, hold, tranche) in enumerate(costs)
    ]


@given(
    st.lists(st.tuples(AMOUNTS, AMOUNTS, st.none() | st.integers(1, 3))),
    st.dictionaries(st.integers(1, 2).map(TrancheId), AMOUNTS),
    AMOUNTS,
    AMOUNTS,
)
def test_every_cost_is_paid_from_its_hold_then_from_what_is_available_or_written_off(
    costs: list[tuple[int, int, int | None]], rests: dict[TrancheId, int], allowance: int, purchased: int
) -> None:
    accounts, captured = capture(charges(costs), rests, {ACCOUNT: Pockets(allowance, purchased)})
    if not costs:
        assert accounts == {}
        return
    taken = accounts[ACCOUNT]
    missing = sum(taken.written_off.values())
    assert taken.cost == sum(cost for cost, _, _ in costs) == taken.held + taken.allowance + taken.purchased + missing
    assert taken.held == sum(captured.values())
    assert all(amount <= rests[tranche] for tranche, amount in captured.items())
    assert taken.held <= sum(min(cost, hold) for cost, hold, _ in costs)
    assert taken.allowance <= allowance
    assert taken.purchased <= purchased
    if missing:
        assert (taken.allowance, taken.purchased) == (allowance, purchased)
    if taken.purchased:
        assert taken.allowance == allowance


DRAWS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=5).map(
    lambda pairs: [
        Draw(number=number, allowance_id=number, amount=amount, released=min(released, amount))
        for number, (amount, released) in enumerate(pairs)
    ]
)


@given(DRAWS, st.data())
def test_what_is_given_back_was_drawn_last_and_not_spent(draws: list[Draw], data: st.DataObject) -> None:
    total = sum(draw.amount - draw.released for draw in draws)
    captured = data.draw(st.integers(0, total))
    amount = data.draw(st.integers(0, total - captured))
    back = {each.number: each.amount for each in release(draws, captured, amount)}
    assert sum(back.values()) == amount
    # As coins in a row: the first are spent, the last go back.
    coins = [draw.number for draw in draws for _ in range(draw.amount - draw.released)]
    gone = coins[len(coins) - amount :]
    assert back == {number: gone.count(number) for number in set(gone)}
    with pytest.raises(ValueError, match="more than the tranche still has"):
        release(draws, captured, total - captured + 1)
