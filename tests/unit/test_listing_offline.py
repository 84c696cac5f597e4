"""The catalog that is shipped needs no network and knows 47 providers."""

from datetime import date, time
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from gatewayz.providers.listing import ListedModel, Listing
from gatewayz.providers.offline import offline_listing, offline_listings

TODAY = date(2026, 1, 15)


@pytest.fixture(scope="module")
def listings() -> dict[str, tuple[str, Listing]]:
    return {slug: (name, listing) for slug, name, listing in offline_listings(TODAY)}


def model_of(
    prices: ModelPrice | list[ConditionalPrice], native_id: str = "m", *, deprecated: bool = False
) -> ListedModel:
    info = ModelInfo(id=native_id, match=ClauseEquals(native_id), prices=prices, deprecated=deprecated)
    return offline_listing("acme", [info], TODAY).models[0]


def mtok(dollars: int) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(dollars))


def test_the_shipped_catalog_is_whole(listings: dict[str, tuple[str, Listing]]) -> None:
    assert len(listings) >= 47
    assert sum(len(listing.models) for _, listing in listings.values()) >= 2_300
    assert [row for _, listing in listings.values() for row in listing.refused] == []


def test_it_goes_by_our_names_for_providers(listings: dict[str, tuple[str, Listing]]) -> None:
    ours = {"xai", "moonshot", "google", "azure-openai", "cloudflare-workers-ai", "huggingface-groq"}
    assert ours <= set(listings)
    assert not {slug for slug in listings if "_" in slug}
    assert listings["xai"][0] == "xAI"
    assert all(listing.provider == slug for slug, (_, listing) in listings.items())


def test_most_of_it_is_priced(listings: dict[str, tuple[str, Listing]]) -> None:
    models = [model for _, listing in listings.values() for model in listing.models]
    assert sum("prompt" in model.prices for model in models) > 0.95 * len(models)
    assert all(0 <= price < 1 for model in models for price in model.prices.values())


def test_prices_are_dollars_per_token_and_per_request() -> None:
    model = model_of(
        ModelPrice(
            input_mtok=Decimal(3),
            output_mtok=Decimal(15),
            cache_read_mtok=Decimal("0.3"),
            cache_write_mtok=Decimal("3.75"),
            requests_kcount=Decimal(5),
        )
    )
    assert model.prices == {
        "prompt": Decimal("0.000003"),
        "completion": Decimal("0.000015"),
        "input_cache_read": Decimal("0.0000003"),
        "input_cache_write": Decimal("0.00000375"),
        "request": Decimal("0.005"),
    }


def test_a_price_in_tiers_counts_with_its_first() -> None:
    tiers = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    assert model_of(ModelPrice(input_mtok=tiers)).prices == {"prompt": Decimal("0.000001")}


def test_the_last_price_that_has_begun_counts() -> None:
    prices = [
        ConditionalPrice(prices=mtok(1)),
        ConditionalPrice(constraint=StartDateConstraint(date(2026, 1, 15)), prices=mtok(2)),
        ConditionalPrice(constraint=StartDateConstraint(date(2026, 1, 16)), prices=mtok(3)),
    ]
    assert model_of(prices).prices == {"prompt": Decimal("0.000002")}


def test_a_price_by_time_of_day_does_not_count() -> None:
    prices = [
        ConditionalPrice(prices=mtok(1)),
        ConditionalPrice(constraint=TimeOfDateConstraint(time(0), time(12)), prices=mtok(9)),
    ]
    assert model_of(prices).prices == {"prompt": Decimal("0.000001")}


def test_the_first_price_counts_where_none_has_begun() -> None:
    prices = [
        ConditionalPrice(constraint=StartDateConstraint(date(2027, 1, 1)), prices=mtok(1)),
        ConditionalPrice(constraint=StartDateConstraint(date(2028, 1, 1)), prices=mtok(2)),
    ]
    assert model_of(prices).prices == {"prompt": Decimal("0.000001")}


def test_no_prices_are_unknown_and_a_free_suffix_is_free() -> None:
    assert (model_of(ModelPrice()).prices, model_of([]).is_free) == ({}, False)
    assert model_of(ModelPrice(), "m:free").is_free


def test_a_deprecated_model_is_still_served_and_so_still_priced() -> None:
    assert model_of(mtok(1), deprecated=True).prices == {"prompt": Decimal("0.000001")}


def test_a_prompt_cache_price_that_no_list_names_is_the_providers_share_of_the_prompt_price(
    listings: dict[str, tuple[str, Listing]],
) -> None:
    _, anthropic = listings["anthropic"]
    for model in anthropic.models:
        if "prompt" in model.prices:
            assert model.prices["input_cache_read"] > 0
            assert model.prices["input_cache_write"] > model.prices["input_cache_read"]
