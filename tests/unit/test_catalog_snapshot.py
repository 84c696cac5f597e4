from decimal import Decimal

import msgspec
import pytest
from tests.support.catalog_world import offer, snapshot_of

from gatewayz.catalog.fragments import cheapest_of, encode, model_form, pricing_form
from gatewayz.catalog.model import Pricing
from gatewayz.catalog.ordering import Order, ordered, thresholds
from gatewayz.catalog.search import Search
from gatewayz.catalog.snapshot import Snapshot


@pytest.mark.parametrize(("order", "expected"), [("asc", [2, 0, 1, 3]), ("desc", [0, 2, 1, 3])])
def test_what_has_no_key_comes_last_either_way(order: Order, expected: list[int]) -> None:
    keys = {0: 5, 1: None, 2: 1, 3: None}
    assert list(ordered([0, 1, 2, 3], keys.get, order)) == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_ties_keep_the_given_order_either_way(order: Order) -> None:
    assert list(ordered([3, 1, 2], lambda _: "same", order)) == [3, 1, 2]


def test_a_threshold_holds_whoever_reaches_it_in_the_given_order() -> None:
    counts = {0: 1, 1: 3, 2: 0, 3: 3}
    assert [list(level) for level in thresholds([3, 2, 1, 0], counts.__getitem__)] == [
        [3, 2, 1, 0],
        [3, 1, 0],
        [3, 1],
        [3, 1],
    ]


def test_of_nothing_there_is_one_empty_threshold() -> None:
    assert [list(level) for level in thresholds([], lambda _: 1)] == [[]]


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("1.5E-7", "0.00000015"),
        ("1E-12", "0.000000000001"),
        ("0", "0"),
        ("0E-9", "0"),
        ("1E+2", "100"),
        ("10.500", "10.5"),
    ],
)
def test_a_price_is_a_plain_decimal_without_an_exponent(price: str, text: str) -> None:
    assert pricing_form(Pricing(prompt=Decimal(price))) == {"prompt": text}


def test_an_unknown_price_is_absent_and_a_zero_price_is_there() -> None:
    form = model_form(offer("a/b", prompt="0"))
    assert form["pricing"] == {"prompt": "0"}
    assert model_form(offer("a/b"))["pricing"] == {}


def test_a_model_form_is_json_without_a_single_internal_field() -> None:
    form = msgspec.json.decode(encode(model_form(offer("a/b", prompt="0.1"))))
    assert "content_hash" not in form
    assert form["created"] == 0
    assert form["architecture"]["modality"] is None
    assert form["capabilities"]["tools"] is None


def test_an_unknown_price_is_never_the_cheapest_and_zero_is() -> None:
    """The system before this one took an unknown price for 0.0."""
    unknown, dear, free = offer("a/b", "p"), offer("a/b", "q", prompt="0.5"), offer("a/b", "r", prompt="0")
    assert cheapest_of([unknown, dear]) is dear
    assert cheapest_of([unknown, dear, free]) is free
    assert cheapest_of([unknown]) is None
    assert cheapest_of([]) is None


def test_of_equal_prompt_prices_the_lower_known_completion_price_wins_then_the_name() -> None:
    first = offer("a/b", "z", prompt="1", completion="2")
    second = offer("a/b", "y", prompt="1", completion="3")
    unknown = offer("a/b", "a", prompt="1")
    assert cheapest_of([unknown, second, first]) is first
    assert cheapest_of([offer("a/b", "z", prompt="1"), unknown]) is unknown


def test_a_provider_with_two_rows_of_a_model_counts_once() -> None:
    snapshot = snapshot_of(offer("a/b", "p", native_id="b"), offer("a/b", "p", native_id="B"), offer("a/b", "q"))
    (entry,) = snapshot.uniques
    assert (entry.provider_count, len(entry.offers)) == (2, 3)
    (form,) = (msgspec.json.decode(piece) for piece in snapshot.unique_fragments.pieces)
    assert form["provider_count"] == 2


def test_inactive_offers_are_nowhere_but_their_unique_model_is_kept_for_who_asks() -> None:
    snapshot = snapshot_of(offer("a/gone", is_active=False), offer("a/here"))
    assert [each.id for each in snapshot.offers] == ["a/here"]
    assert not snapshot.find_offers("a/gone")
    ids = [snapshot.uniques[number].id for number in snapshot.unique_order("name", "asc")]
    assert ids == ["a/here"]
    every = snapshot.unique_order("name", "asc", include_inactive=True)
    assert [snapshot.uniques[number].id for number in every] == ["a/gone", "a/here"]
    assert not snapshot.unique_order("name", "asc", min_providers=1, include_inactive=True)[1:]


def test_an_offer_answers_to_its_public_its_unique_and_its_own_name_in_any_case() -> None:
    snapshot = snapshot_of(offer("author/name", "p", native_id="Own/NAME-v1", unique_id="unique/name"))
    for name in ("author/name", "AUTHOR/Name", "unique/NAME", "own/name-V1"):
        assert list(snapshot.find_offers(name)) == [0], name
    assert not snapshot.find_offers("own/name")


def test_two_snapshots_of_one_catalog_have_one_version() -> None:
    same = [offer("a/b", prompt="1"), offer("a/c")]
    assert snapshot_of(*same).version == snapshot_of(*same).version
    assert snapshot_of(*same).version != snapshot_of(same[0], offer("a/c", prompt="0")).version


CATALOG = snapshot_of(
    offer("a/cheap", "p", prompt="0.1", context_length=1000, input_modalities=("text", "image")),
    offer("a/dear", "p", prompt="0.9", context_length=9000, output_modalities=("audio",)),
    offer("b/free", "q", prompt="0", name="Free Thing"),
    offer("b/mystery", "q", name="Mystery Thing"),
)


@pytest.mark.parametrize(
    ("search", "ids"),
    [
        (Search(), ["a/cheap", "a/dear", "b/free", "b/mystery"]),
        (Search(words=("thing",)), ["b/free", "b/mystery"]),
        (Search(words=("thing", "q", "free")), ["b/free"]),
        (Search(words=("absent",)), []),
        (Search(modality="image"), ["a/cheap"]),
        (Search(modality="audio"), ["a/dear"]),
        (Search(provider="q"), ["b/free", "b/mystery"]),
        (Search(min_context=1000), ["a/cheap", "a/dear"]),
        (Search(min_context=1001), ["a/dear"]),
        (Search(max_context=1000), ["a/cheap"]),
        (Search(min_price=Decimal(0)), ["a/cheap", "a/dear", "b/free"]),
        (Search(max_price=Decimal("0.1")), ["a/cheap", "b/free"]),
        (Search(min_price=Decimal("0.1"), max_price=Decimal("0.1")), ["a/cheap"]),
        (Search(min_price=Decimal(2), max_price=Decimal(1)), []),
    ],
)
def test_a_search_admits_what_fits_every_condition(search: Search, ids: list[str]) -> None:
    assert [CATALOG.offers[number].id for number in search.find(CATALOG, "id", "asc")] == ids


@pytest.mark.parametrize(
    ("order", "ids"),
    [("asc", ["b/free", "a/cheap", "a/dear", "b/mystery"]), ("desc", ["a/dear", "a/cheap", "b/free", "b/mystery"])],
)
def test_a_search_by_price_has_the_unknown_last_either_way(order: Order, ids: list[str]) -> None:
    assert [CATALOG.offers[number].id for number in Search().find(CATALOG, "price", order)] == ids


def test_an_empty_catalog_is_a_snapshot_like_any_other() -> None:
    snapshot: Snapshot = snapshot_of()
    assert not snapshot.offers
    assert not snapshot.unique_order("provider_count", "desc", min_providers=5)
    assert not Search(words=("x",)).find(snapshot, "price", "desc")
