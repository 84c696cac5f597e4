"""A bad row costs itself, never the list."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.providers.errors import BrokenListing
from gatewayz.providers.listing import ListedModel, Listing, by_reason
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.parse import LONGEST_ID, MOST_ROWS, parse_listing, read_rows
from gatewayz.providers.shapes.table import SHAPES

PROVIDER = Provider(
    slug="acme",
    name="Acme",
    base_url="http://acme.invalid",
    listing=ListSource(shape=SHAPES["openrouter"]),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    *("id", "name", "created", "description", "context_length", "architecture", "pricing", "top_provider"),
    *("supported_parameters", "providers", "properties", "type", "mode", "tags", "model_name", "active"),
    *("litellm_provider", "input_cost_per_token", "max_tokens", "kind", "task", "capabilities"),
)


def listing(*rows: object) -> Listing:
    return parse_listing(PROVIDER, [json.dumps({"data": rows}).encode()])


def only(**fields: object) -> tuple[ListedModel, Listing]:
    found = listing({"id": "a/b", **fields})
    assert len(found.models) == 1
    return found.models[0], found


def test_rows_that_are_no_objects_are_refused_and_named() -> None:
    found = listing(None, "text", 3, ["id"], {"id": "good"})
    assert [model.native_id for model in found.models] == ["good"]
    assert by_reason(found.refused) == {"not_an_object": 4}
    assert [row.native_id for row in found.refused] == ["row 1", "row 2", "row 3", "row 4"]


@pytest.mark.parametrize(
    ("native_id", "reason"),
    [
        (None, "no_id"),
        ("", "no_id"),
        ("   ", "no_id"),
        (7, "no_id"),
        ({"a": 1}, "no_id"),
        ("x" * (LONGEST_ID + 1), "id_too_long"),
        ("a\nb", "bad_id"),
        ("a\0b", "bad_id"),
        ("a\ud800b", "bad_id"),
    ],
)
def test_a_row_without_a_usable_id_is_refused(native_id: object, reason: str) -> None:
    found = listing({"id": native_id}, {"name": "no id at all"}, {"id": "good"})
    assert [model.native_id for model in found.models] == ["good"]
    assert found.refused[0].reason == reason
    assert len(found.refused[0].detail) <= 80


def test_the_first_of_two_rows_with_one_id_counts() -> None:
    found = listing({"id": "a", "name": "first"}, {"id": " a ", "name": "second"})
    assert [model.name for model in found.models] == ["first"]
    assert [(row.native_id, row.reason) for row in found.refused] == [("a", "duplicate_id")]


@pytest.mark.parametrize("size", [0, -1, 1.5, 10**10, "many", True, [], 10**60, float("inf")])
def test_an_absurd_context_is_dropped_and_the_row_stays(size: object) -> None:
    model, found = only(context_length=size)
    assert model.context_length is None
    assert by_reason(found.refused) == {"bad_context_length": 1}


@pytest.mark.parametrize("size", [131072, 131072.0, "131072"])
def test_a_whole_number_is_a_context_however_it_is_written(size: object) -> None:
    model, found = only(context_length=size)
    assert (model.context_length, found.refused) == (131072, ())


def test_a_bad_price_is_dropped_and_named_and_the_others_stay() -> None:
    model, found = only(pricing={"prompt": "lots", "completion": "0.5", "image": -3, "request": True})
    assert model.prices == {"completion": Decimal("0.5")}
    assert [(row.reason, row.detail) for row in found.refused] == [
        ("bad_price", "prompt: 'lots'"),
        ("bad_price", "image: -3"),
        ("bad_price", "request: True"),
    ]


def test_nan_costs_a_field_and_not_the_list() -> None:
    page = b'{"data": [{"id": "a", "pricing": {"prompt": NaN, "completion": 1e999}, "context_length": NaN}]}'
    found = parse_listing(PROVIDER, [page])
    assert len(found.models) == 1
    assert by_reason(found.refused) == {"bad_price": 2, "bad_context_length": 1}


def test_an_endless_number_costs_a_field_and_not_the_list() -> None:
    page = b'{"data": [{"id": "a", "context_length": ' + b"9" * 5000 + b"}]}"
    assert by_reason(parse_listing(PROVIDER, [page]).refused) == {"bad_context_length": 1}


@pytest.mark.parametrize("pricing", [None, [], "0", 3, {"prompt": None, "completion": ""}])
def test_no_pricing_is_unknown_and_nothing_to_complain_of(pricing: object) -> None:
    model, found = only(pricing=pricing)
    assert (model.prices, model.is_free, found.refused) == ({}, False, ())


def test_a_dynamic_price_beside_a_free_suffix_stays_unknown() -> None:
    found = listing({"id": "a/b:free", "pricing": {"prompt": "-1", "completion": "-1"}})
    assert (found.models[0].prices, found.models[0].is_free) == ({}, False)
    assert found.models[0].has_dynamic_price


def test_a_price_stated_beside_a_free_suffix_is_believed() -> None:
    found = listing({"id": "a/b:free", "pricing": {"prompt": "0.1", "completion": "0"}})
    assert not found.models[0].is_free


@pytest.mark.parametrize(
    ("created", "seconds"),
    [(1715367049, 1715367049), ("2024-05-10T18:50:49Z", 1715367049), (0, None), (None, None)],
)
def test_a_date_is_unix_seconds_however_it_is_written(created: object, seconds: int | None) -> None:
    model, found = only(created=created)
    assert (model.created, found.refused) == (seconds, ())


@pytest.mark.parametrize("created", [-5, True, "yesterday", 1715367049000, [], "99999999999999999999"])
def test_a_date_that_is_none_is_dropped(created: object) -> None:
    model, found = only(created=created)
    assert model.created is None
    assert by_reason(found.refused) == {"bad_created": 1}


def test_text_is_made_fit_for_a_database() -> None:
    model, _ = only(name="a\0b\ud800", description="d" * 20_000)
    assert model.name == "ab?"
    assert model.description is not None
    assert len(model.description) == 10_000


def test_words_that_are_no_text_are_left_out_and_each_counts_once() -> None:
    model, _ = only(supported_parameters=["tools", 3, None, "Tools", "seed"])
    assert model.supported_parameters == ("tools", "seed")


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<!doctype html>",
        b'{"data": [',
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b'{"error": "later"}',
        b'{"data": null}',
        b'{"data": {"id": "a"}}',
        b"[" * 200_000,
    ],
)
def test_a_page_that_is_no_list_breaks_the_listing(page: bytes) -> None:
    with pytest.raises(BrokenListing, match="'acme'"):
        parse_listing(PROVIDER, [b'{"data": [{"id": "good"}]}', page])


def test_an_empty_list_is_a_list() -> None:
    assert listing() == Listing(provider="acme", models=())


def test_pages_are_one_list() -> None:
    pages = [b'{"data": [{"id": "a"}]}', b'{"data": [{"id": "b"}, {"id": "a"}]}']
    found = parse_listing(PROVIDER, pages)
    assert [model.native_id for model in found.models] == ["a", "b"]
    assert by_reason(found.refused) == {"duplicate_id": 1}


def test_a_list_beyond_belief_is_broken() -> None:
    with pytest.raises(BrokenListing, match="rows"):
        parse_listing(PROVIDER, [b'{"data": [' + b"0," * MOST_ROWS + b"0]}"])


@given(
    st.sampled_from(sorted(SHAPES)),
    st.lists(json_values | st.dictionaries(st.sampled_from(FIELDS), json_values)),
)
def test_no_row_of_any_shape_is_ever_fatal(shape: str, rows: list[object]) -> None:
    found = read_rows("acme", SHAPES[shape], [(f"key {number}", row) for number, row in enumerate(rows)])
    assert len(found.models) <= len(rows)
    assert all(model.native_id.isprintable() for model in found.models)
