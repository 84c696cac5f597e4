"""Pages against a naive model, over made-up catalogs."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.catalog_world import offer, snapshot_of

from gatewayz.api.catalog import CatalogRoute, catalog_routes
from gatewayz.catalog.model import Offer
from gatewayz.catalog.snapshot import Snapshot

ROUTES = {path: route for route in catalog_routes(frozenset()) for path in route.paths}

prices = st.none() | st.sampled_from(["0", "0.1", "0.10", "0.00000015", "3"])


@st.composite
def catalogs(draw: st.DrawFn) -> list[Offer]:
    keys = st.tuples(st.integers(0, 6), st.sampled_from("pqrs"))
    return [
        offer(
            f"a/m{number}",
            provider,
            prompt=draw(prices),
            name=draw(st.sampled_from(["Same", "same", "Other"])),
            is_active=draw(st.booleans()),
            context_length=draw(st.none() | st.integers(1, 3)),
        )
        for number, provider in sorted(draw(st.sets(keys, max_size=18)))
    ]


def asked(snapshot: Snapshot, path: str, query: str) -> tuple[Any, bytes]:
    """The decoded body and the digest that makes its tag."""
    route: CatalogRoute = ROUTES[path]
    assembled = route.assemble(snapshot, route.query.read(query.encode()))
    return json.loads(assembled.body), assembled.digest


def all_pages(snapshot: Snapshot, path: str, query: str, field: str, limit: int) -> list[Any]:
    items: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page, _ = asked(snapshot, path, f"{query}&limit={limit}&offset={offset}")
        assert page["returned"] == len(page[field])
        assert page["has_more"] == (page["next_offset"] is not None)
        items += page[field]
        offset = page["next_offset"]
        assert page["total"] >= len(items)
    assert page["total"] == len(items)
    return items


@settings(deadline=None)
@given(catalogs(), st.integers(1, 20), st.sampled_from(["", "gateway=all", "unique_models=true", "gateway=p"]))
def test_pages_of_any_size_partition_the_list(offers: list[Offer], limit: int, query: str) -> None:
    snapshot = snapshot_of(*offers, offer("a/p", "p"))
    whole, _ = asked(snapshot, "/v1/models", query)
    assert all_pages(snapshot, "/v1/models", query, "data", limit) == whole["data"]
    assert whole["total"] == whole["returned"] == len(whole["data"])


@settings(deadline=None)
@given(catalogs(), st.integers(0, 40), st.integers(1, 40))
def test_a_page_is_the_slice_of_the_list(offers: list[Offer], offset: int, limit: int) -> None:
    snapshot = snapshot_of(*offers)
    whole, _ = asked(snapshot, "/v1/models", "")
    page, _ = asked(snapshot, "/v1/models", f"offset={offset}&limit={limit}")
    assert page["data"] == whole["data"][offset : offset + limit]
    assert page["has_more"] == (offset + limit < whole["total"])


UNIQUE_KEYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "provider_count": lambda model: model["provider_count"],
    "name": lambda model: model["name"].lower(),
    "cheapest_price": lambda model: model["cheapest_prompt_price"] and Decimal(model["cheapest_prompt_price"]),
}


def naive_uniques(offers: list[Offer], *, min_providers: int, include_inactive: bool) -> list[dict[str, Any]]:
    """Written anew from the specification, as simply as can be."""
    models = []
    for unique_id in sorted({each.unique_id for each in offers}):
        active = [each for each in offers if each.unique_id == unique_id and each.is_active]
        known = [each.pricing.prompt for each in active if each.pricing.prompt is not None]
        count = len({each.provider for each in active})
        if (active or include_inactive) and count >= min_providers:
            models.append(
                {"id": unique_id, "name": unique_id, "provider_count": count, "cheapest": min(known, default=None)}
            )
    return models


@settings(max_examples=150, deadline=None)
@given(
    catalogs(),
    st.sampled_from(sorted(UNIQUE_KEYS)),
    st.sampled_from(["asc", "desc"]),
    st.integers(0, 5),
    st.booleans(),
    st.integers(1, 7),
)
def test_unique_models_are_the_naive_models_filtered_and_sorted(  # noqa: PLR0917  each is drawn on its own
    offers: list[Offer],
    sort_by: str,
    order: str,
    min_providers: int,
    include_inactive: bool,  # noqa: FBT001  given by hypothesis
    limit: int,
) -> None:
    snapshot = snapshot_of(*offers)
    query = f"sort_by={sort_by}&order={order}&min_providers={min_providers}&include_inactive={include_inactive}"
    found = all_pages(snapshot, "/v1/models/unique", query, "models", limit)
    expected = naive_uniques(offers, min_providers=min_providers, include_inactive=include_inactive)
    assert sorted(model["id"] for model in found) == [model["id"] for model in expected]
    by_id = {model["id"]: model for model in expected}
    for model in found:
        wanted = by_id[model["id"]]
        price = model["cheapest_prompt_price"]
        assert model["provider_count"] == wanted["provider_count"]
        assert (price is None) == (wanted["cheapest"] is None)
        assert price is None or Decimal(price) == wanted["cheapest"]
    keys = [UNIQUE_KEYS[sort_by](model) for model in found]
    known = [key for key in keys if key is not None]
    assert keys[: len(known)] == known == sorted(known, reverse=order == "desc")
    ties = [(key, model["id"]) for key, model in zip(keys, found, strict=True)]
    for (key, unique_id), (next_key, next_id) in pairwise(ties):
        assert key != next_key or unique_id < next_id


@settings(deadline=None)
@given(catalogs(), catalogs())
def test_two_answers_have_one_digest_only_if_they_say_the_same(one: list[Offer], two: list[Offer]) -> None:
    for path, query in (("/v1/models", ""), ("/v1/models/unique", ""), ("/v1/models/search", "q=a&sort_by=price")):
        said_one, digest_one = asked(snapshot_of(*one), path, query)
        said_two, digest_two = asked(snapshot_of(*two), path, query)
        assert (said_one == said_two) == (digest_one == digest_two)
