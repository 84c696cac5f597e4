"""Prices are exact, or they are not there."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.providers.prices import (
    BadPriceError,
    Unit,
    is_dynamic,
    is_free,
    read_number,
    share,
    usd,
    with_free_suffix,
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def price(raw: object, unit: Unit = Unit.USD) -> Decimal | None:
    number = read_number(raw)
    return None if number is None else usd(number, unit)


@pytest.mark.parametrize(
    ("raw", "unit", "dollars"),
    [
        ("0.0000025", Unit.USD, "0.0000025"),
        (8e-06, Unit.CENTS, "0.00000008"),
        (0.00015, Unit.USD_PER_THOUSAND, "0.00000015"),
        (0.88, Unit.USD_PER_MILLION, "0.00000088"),
        (2690, Unit.TEN_THOUSANDTHS_OF_USD_PER_MILLION, "0.000000269"),
    ],
)
def test_every_unit_becomes_us_dollars_per_token(raw: object, unit: Unit, dollars: str) -> None:
    assert price(raw, unit) == Decimal(dollars)


def test_a_float_is_taken_as_it_was_written() -> None:
    assert price(1e-07) == Decimal("0.0000001")
    assert price(0.1, Unit.USD_PER_MILLION) == Decimal("1e-7")


def test_equal_prices_have_one_form() -> None:
    assert str(price("0.000000150")) == str(price("1.5e-7")) == str(price(0.15, Unit.USD_PER_MILLION))
    assert str(price("0.000")) == str(price(0)) == str(price("-0")) == "0"


@pytest.mark.parametrize("raw", [None, "", "  "])
def test_a_price_that_is_not_given_is_unknown_and_not_zero(raw: object) -> None:
    assert price(raw) is None


@pytest.mark.parametrize("raw", ["-1", -1, -1.0, "-1.000"])
def test_minus_one_is_the_sign_of_a_dynamic_price(raw: object) -> None:
    number = read_number(raw)
    assert number is not None
    assert is_dynamic(number)


@pytest.mark.parametrize(
    "raw",
    [
        True,
        False,
        float("nan"),
        float("inf"),
        "NaN",
        "Infinity",
        "free",
        "$0.15",
        "1_000",
        "١",  # noqa: RUF001  a digit that Decimal would take
        "1e9999",
        "1e-100",
        "0." + "1" * 100,
        "-0.5",
        -2,
        10**400,
        1e300,
        "1000000",
        [],
        {"usd": 1},
        b"1",
    ],
)
def test_what_is_no_price_is_refused(raw: object) -> None:
    with pytest.raises(BadPriceError):
        price(raw)


@given(anything, st.sampled_from(Unit))
def test_whatever_a_list_holds_is_a_sane_price_or_unknown_or_refused(raw: object, unit: Unit) -> None:
    try:
        dollars = price(raw, unit)
    except BadPriceError:
        return
    assert dollars is None or (dollars.is_finite() and 0 <= dollars < 1_000_000)


@given(st.integers(0, 10**12), st.integers(0, 12), st.sampled_from(Unit))
def test_no_digit_is_ever_lost(digits: int, places: int, unit: Unit) -> None:
    written = Decimal(digits).scaleb(-places)
    if written * unit.value >= 1_000_000:
        return
    dollars = price(format(written, "f"), unit)
    assert dollars is not None
    assert dollars / unit.value == written


@given(st.floats(min_value=1e-12, max_value=1e5))
def test_a_float_and_its_text_are_the_same_price(number: float) -> None:
    assert price(number) == price(repr(number)) == Decimal(repr(number))


def test_a_share_of_a_price_is_exact() -> None:
    assert share(Decimal("0.000003"), Decimal("0.1")) == Decimal("0.0000003")


def test_a_free_row_is_not_an_unknown_price() -> None:
    zero = {"prompt": Decimal(0), "completion": Decimal(0)}
    assert is_free(zero)
    assert not is_free({})
    assert not is_free({"prompt": Decimal(0)})
    assert not is_free({**zero, "request": Decimal("0.002")})


def test_a_free_suffix_prices_tokens_at_zero_where_the_list_does_not_price_them() -> None:
    assert with_free_suffix("a/b:free", {}) == {"prompt": Decimal(0), "completion": Decimal(0)}
    assert with_free_suffix("a/b:free", {"prompt": Decimal(1)})["prompt"] == 1
    assert with_free_suffix("a/b", {}) == {}
