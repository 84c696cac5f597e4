"""The catalog that is shipped with gatewayz: the price data of the package `genai-prices`, no network needed.

Importing this module loads that data, about 20 MB of it; a process that only serves has no need to.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from genai_prices.data import providers as _PRICED_PROVIDERS  # noqa: N812  it is their constant, and frozen to us
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from gatewayz.providers.listing import Listing
from gatewayz.providers.parse import read_rows, with_cache_prices
from gatewayz.providers.shapes.table import OFFLINE
from gatewayz.providers.table import PROVIDERS


def offline_listings(today: date) -> Iterator[tuple[str, str, Listing]]:
    """(slug, name, listing) of every provider with known prices, as they are on that day.

    A price in tiers counts with its first tier, one by time of day with its base. Deprecated models are in:
    that data calls them "still functional", and they are charged for until the provider's list drops them.
    """
    known = {alias: provider for provider in PROVIDERS for alias in (provider.slug, *provider.aliases)}
    for priced in _PRICED_PROVIDERS:
        slug = priced.id.replace("_", "-")
        ours = known.get(slug)
        slug, name = (ours.slug, ours.name) if ours else (slug, priced.name)
        listing = offline_listing(slug, priced.models, today)
        yield slug, name, with_cache_prices(ours, listing) if ours else listing


def offline_listing(slug: str, models: Sequence[ModelInfo], today: date) -> Listing:
    """The listing of one provider, of that package's entries."""
    return read_rows(slug, OFFLINE, ((None, _row(model, today)) for model in models))


def _row(model: ModelInfo, today: date) -> dict[str, object]:
    prices = model.prices if isinstance(model.prices, ModelPrice) else _on(model.prices, today)
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "context_window": model.context_window,
        "prices": {unit: _base(price) for unit, price in vars(prices).items()},
    }


def _on(prices: Sequence[ConditionalPrice], today: date) -> ModelPrice:
    """The last price that began by today; a time of day is no beginning. The first where none has begun."""
    begun = [
        price.prices
        for price in prices
        if price.constraint is None
        or (isinstance(price.constraint, StartDateConstraint) and price.constraint.start_date <= today)
    ]
    return begun[-1] if begun else prices[0].prices if prices else ModelPrice()


def _base(price: object) -> Decimal | None:
    if isinstance(price, TieredPrices):
        return price.base
    return price if isinstance(price, Decimal) else None
