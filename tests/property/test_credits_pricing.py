"""What a request costs, against exact fractions."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatewayz.catalog.model import Pricing
from gatewayz.core.errors import ErrorKind, PriceUnknown
from gatewayz.credits.pricing import Tariff, Tariffs, Used, hold_for

PRICES = st.integers(0, 20).flatmap(lambda places: st.decimals(0, Decimal("0.01"), places=places))
TOKENS = st.integers(0, 10_000_000)
KNOWN = st.builds(
    Pricing,
    prompt=PRICES,
    completion=PRICES,
    input_cache_read=st.none() | PRICES,
    input_cache_write=st.none() | PRICES,
    image=st.none() | PRICES,
    request=st.none() | PRICES,
)
USED = st.builds(
    Used, prompt=TOKENS, completion=TOKENS, cache_read=TOKENS, cache_write=TOKENS, images=st.integers(0, 50)
)


def cost(prices: Pricing, used: Used, *, allow_unknown: bool = False) -> int:
    return Tariff.of(prices).cost(used, allow_unknown=allow_unknown)


def exact(prices: Pricing, used: Used) -> Fraction:
    """Nano-dollars, not rounded."""
    assert prices.prompt is not None
    assert prices.completion is not None
    read = min(used.cache_read, used.prompt)
    written = min(used.cache_write, used.prompt - read)
    read_price = prices.prompt if prices.input_cache_read is None else prices.input_cache_read
    write_price = prices.prompt if prices.input_cache_write is None else prices.input_cache_write
    return 10**9 * (
        Fraction(prices.prompt) * (used.prompt - read - written)
        + Fraction(read_price) * read
        + Fraction(write_price) * written
        + Fraction(prices.completion) * used.completion
        + Fraction(prices.image or 0) * used.images
        + Fraction(prices.request or 0)
    )


@given(KNOWN, USED)
def test_a_cost_is_exact_and_rounded_up_once(prices: Pricing, used: Used) -> None:
    assert cost(prices, used) == math.ceil(exact(prices, used))


@given(KNOWN, USED, USED)
def test_more_of_anything_never_costs_less(prices: Pricing, used: Used, more: Used) -> None:
    larger = Used(
        prompt=used.prompt + more.prompt,
        completion=used.completion + more.completion,
        cache_read=used.cache_read,
        cache_write=used.cache_write,
        images=used.images + more.images,
    )
    if used.cache_read + used.cache_write <= used.prompt:
        assert cost(prices, larger) >= cost(prices, used)


@given(st.lists(KNOWN, min_size=1, max_size=4), USED, st.data())
def test_a_hold_covers_whatever_the_request_turns_out_to_use(
    route: list[Pricing], most: Used, data: st.DataObject
) -> None:
    used = Used(
        prompt=data.draw(st.integers(0, most.prompt)),
        completion=data.draw(st.integers(0, most.completion)),
        cache_read=most.cache_read,
        cache_write=most.cache_write,
        images=most.images,
    )
    hold = hold_for(map(Tariff.of, route), prompt=most.prompt, completion=most.completion, images=most.images)
    assert all(cost(prices, used) <= hold for prices in route)


@given(KNOWN, USED.filter(lambda used: used.prompt and used.completion))
def test_an_unknown_price_is_refused_where_tokens_of_its_kind_were_used(prices: Pricing, used: Used) -> None:
    for field, unused in (("prompt", replace(used, prompt=0)), ("completion", replace(used, completion=0))):
        unpriced = replace(prices, **{field: None})
        if field == "completion" or used.cache_read + used.cache_write < used.prompt:
            with pytest.raises(PriceUnknown) as refused:
                cost(unpriced, used)
            assert (refused.value.kind, refused.value.param) == (ErrorKind.PRICE_UNKNOWN, "model")
        assert cost(unpriced, unused) == cost(prices, unused)
        assert cost(unpriced, used, allow_unknown=True) <= cost(prices, used)
    with pytest.raises(PriceUnknown):
        hold_for(map(Tariff.of, (prices, replace(prices, prompt=None))), prompt=1, completion=0)


def test_what_has_a_price_is_never_free() -> None:
    assert cost(Pricing(prompt=Decimal("1E-15"), completion=Decimal(0)), Used(prompt=1)) == 1
    assert cost(Pricing(prompt=Decimal(0), completion=Decimal(0)), Used(prompt=1000, completion=1000)) == 0
    assert hold_for([], prompt=10, completion=10) == 0


def test_a_tariff_is_made_once_for_each_price_and_never_taken_for_anothers() -> None:
    tariffs, prices = Tariffs(), [Pricing(prompt=Decimal(n), completion=Decimal(n)) for n in range(3)]
    made = [tariffs.of(each) for each in prices]
    assert all(tariffs.of(each) is tariff for each, tariff in zip(prices, made, strict=True))
    assert [tariff.prompt for tariff in made] == [0, 10**9, 2 * 10**9]
    assert tariffs.of(replace(prices[1])) == made[1]
