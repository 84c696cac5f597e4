"""Filters over a snapshot. All run in memory over precomputed orders."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from gatewayz.catalog.model import Offer
from gatewayz.catalog.ordering import Order
from gatewayz.catalog.snapshot import OfferSort, Snapshot


class Search(Struct, frozen=True, kw_only=True):
    """Every given condition must hold. A price or context that is unknown fails any bound on it.

    `words`: each must occur in the model's id, name or provider. Prices are US dollars per prompt token.
    """

    words: tuple[str, ...] = ()
    modality: str | None = None
    provider: str | None = None
    min_context: int | None = None
    max_context: int | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None

    def find(self, snapshot: Snapshot, sort: OfferSort, order: Order) -> Sequence[int]:
        found: Sequence[int] = snapshot.offer_order(sort, order)
        if self.words:
            texts = snapshot.search_texts
            found = [index for index in found if all(word in texts[index] for word in self.words)]
        if self._has_bounds:
            offers = snapshot.offers
            found = [index for index in found if self._admits(offers[index])]
        return found

    @property
    def _has_bounds(self) -> bool:
        return any(
            bound is not None
            for bound in (
                self.modality,
                self.provider,
                self.min_context,
                self.max_context,
                self.min_price,
                self.max_price,
            )
        )

    def _admits(self, offer: Offer) -> bool:
        return (
            (self.provider is None or offer.provider == self.provider)
            and (
                self.modality is None
                or self.modality in offer.input_modalities
                or self.modality in offer.output_modalities
            )
            and _within(offer.context_length, self.min_context, self.max_context)
            and _within(offer.pricing.prompt, self.min_price, self.max_price)
        )


def _within(value: Decimal | int | None, low: Decimal | int | None, high: Decimal | int | None) -> bool:
    if value is None:
        return low is None and high is None
    return (low is None or value >= low) and (high is None or value <= high)
