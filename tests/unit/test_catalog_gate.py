"""What a sync believes of a list."""

from decimal import Decimal

import pytest
from tests.support.catalog_world import offer

from gatewayz.catalog.errors import PricesImplausible
from gatewayz.catalog.identity import Identity
from gatewayz.catalog.list_writer import Known, ListRow, content_hash, difference
from gatewayz.catalog.model import Offer
from gatewayz.catalog.offers import fill_gaps, offers_from
from gatewayz.catalog.sanity import Gate, Median
from gatewayz.providers.listing import ListedModel, Listing

GATE = Gate(max_ratio=Decimal(500), max_price=Decimal("0.005"))
USUAL = Decimal("0.000001")


def checked(prompt: str | None, completion: str | None = None, median: Median | None = None) -> tuple[Offer, list[str]]:
    """The offer as the gate lets it through, and the details of what it refused."""
    medians = {"m": Median(USUAL, USUAL) if median is None else median}
    passed, refused = GATE.check({"m": offer("m", prompt=prompt, completion=completion)}, medians)
    return passed["m"], [row.detail for row in refused]


@pytest.mark.parametrize("prompt", [None, "0", "0.000001", "0.00025", "0.000000004", "0.0005", "0.000000002"])
def test_a_price_within_the_ratio_passes_and_so_do_zero_and_the_unknown(prompt: str | None) -> None:
    passed, refused = checked(prompt)
    assert passed == offer("m", prompt=prompt)
    assert refused == []


@pytest.mark.parametrize("prompt", ["0.001", "0.000000001", "0.0005000001"])
def test_a_price_a_thousand_times_off_becomes_unknown(prompt: str) -> None:
    passed, refused = checked(prompt, "0.000001")
    assert passed.pricing.prompt is None
    assert passed.pricing.completion == USUAL
    assert refused == [f"prompt={Decimal(prompt)}"]


def test_each_price_is_judged_by_its_own_median() -> None:
    passed, refused = checked("0.000001", "0.001", Median(USUAL, None))
    assert passed.pricing.completion == Decimal("0.001")
    assert refused == []


def test_a_price_that_nobody_charges_is_refused_without_any_median() -> None:
    passed, refused = checked("0.0051", "0.005", Median())
    assert passed.pricing.prompt is None
    assert passed.pricing.completion == Decimal("0.005")
    assert len(refused) == 1


def many(count: int, wrong: int, factor: int = 1000) -> tuple[dict[str, Offer], dict[str, Median]]:
    offers = {
        f"m{number}": offer(f"m{number}", prompt=str(USUAL * (factor if number < wrong else 1)))
        for number in range(count)
    }
    return offers, dict.fromkeys(offers, Median(USUAL, USUAL))


def test_a_list_in_a_wrong_unit_is_refused_as_a_whole() -> None:
    with pytest.raises(PricesImplausible, match="30 of 30 comparable prices"):
        GATE.check(*many(30, 30))


def test_a_few_wrong_prices_cost_those_prices_only() -> None:
    passed, refused = GATE.check(*many(30, 6))
    assert len(refused) == 6
    assert sum(each.pricing.prompt is None for each in passed.values()) == 6
    with pytest.raises(PricesImplausible):
        GATE.check(*many(30, 7))


def test_a_short_list_is_not_judged_as_a_whole() -> None:
    passed, refused = GATE.check(*many(19, 19))
    assert len(passed) == len(refused) == 19


LIVE = ListedModel(native_id="m")
OFFLINE = ListedModel(
    native_id="m",
    name="Model",
    description="Words",
    context_length=1000,
    max_output_tokens=100,
    input_modalities=("text",),
    output_modalities=("text",),
    prices={"prompt": Decimal(0)},
    is_free=True,
)


def test_a_live_row_that_says_nothing_takes_the_offline_word() -> None:
    assert fill_gaps(LIVE, OFFLINE) == OFFLINE


def test_what_a_live_row_says_stands() -> None:
    live = ListedModel(
        native_id="m",
        name="Own",
        context_length=5,
        input_modalities=("image",),
        prices={"completion": Decimal(1)},
    )
    filled = fill_gaps(live, OFFLINE)
    assert (filled.name, filled.context_length, filled.input_modalities) == ("Own", 5, ("image",))
    assert filled.prices == {"completion": Decimal(1)}
    assert not filled.is_free
    assert filled.description == "Words"


def test_a_live_price_of_zero_is_a_price() -> None:
    live = ListedModel(native_id="m", prices={"prompt": Decimal(0)})
    paid = ListedModel(native_id="m", prices={"prompt": Decimal(5), "completion": Decimal(5)})
    assert fill_gaps(live, paid).prices == {"prompt": Decimal(0)}


def test_a_dynamic_price_is_not_replaced_by_an_offline_one() -> None:
    assert fill_gaps(ListedModel(native_id="m", has_dynamic_price=True), OFFLINE).prices == {}


def test_without_an_offline_row_a_live_row_stays_as_it_is() -> None:
    assert fill_gaps(LIVE, None) is LIVE


def test_a_supported_parameter_proves_a_capability_and_its_absence_too() -> None:
    listed = ListedModel(native_id="m", supported_parameters=("tools",), input_modalities=("text",))
    ((made, _),) = offers_from(Listing(provider="p", models=(listed,)), {}).values()
    assert (made.capabilities.tools, made.capabilities.json, made.capabilities.vision) == (True, False, False)
    ((silent, _),) = offers_from(Listing(provider="p", models=(LIVE,)), {}).values()
    assert (silent.capabilities.tools, silent.capabilities.vision) == (None, None)


def test_offline_rows_are_found_in_any_letter_case() -> None:
    listing = Listing(provider="p", models=(ListedModel(native_id="M"),))
    ((made, _),) = offers_from(listing, {"m": OFFLINE}).values()
    assert made.context_length == 1000


def known(digest: bytes, *, is_active: bool = True, missing_count: int = 0) -> Known:
    return Known(digest, is_active, missing_count)


def row(digest: bytes) -> ListRow:
    return ListRow(offer("m"), Identity("a", "m", "M"), digest)


def test_the_difference_is_what_is_new_changed_back_or_gone() -> None:
    before = {
        "same": known(b"1"),
        "changed": known(b"1"),
        "back": known(b"1", missing_count=1),
        "revived": known(b"1", is_active=False, missing_count=3),
        "gone": known(b"1"),
        "long gone": known(b"1", is_active=False, missing_count=3),
    }
    now = {name: row(digest) for name, digest in [("same", b"1"), ("changed", b"2"), ("back", b"1")]}
    now |= {"revived": row(b"1"), "new": row(b"1")}
    change = difference(before, now, 3)
    written = {id(each) for each in change.written}
    assert {name for name, each in now.items() if id(each) in written} == {"back", "changed", "new", "revived"}
    assert list(change.missing) == ["gone"]
    assert change.is_visible


def test_a_row_that_is_missing_shows_only_when_it_is_given_up() -> None:
    once = difference({"gone": known(b"1")}, {}, 3)
    assert list(once.missing) == ["gone"]
    assert not once.is_visible
    last = difference({"gone": known(b"1", missing_count=2)}, {}, 3)
    assert list(last.given_up) == ["gone"]
    assert last.is_visible


def test_the_same_list_changes_nothing() -> None:
    same = difference({"same": known(b"1")}, {"same": row(b"1")}, 3)
    assert not same.is_visible
    assert not same.missing


def test_the_hash_of_an_offer_tells_zero_from_unknown() -> None:
    assert content_hash(offer("m", prompt="0")) != content_hash(offer("m"))
    assert content_hash(offer("m", prompt="0.1")) == content_hash(offer("m", prompt="0.1"))
